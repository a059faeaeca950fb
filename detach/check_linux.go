package detach

import (
	"context"
	"errors"
	"fmt"
)

var errNoLine = errors.New("no line matches")

func (p *Process) check(ctx context.Context, c Condition) error {
	failed := func(err error) error {
		return &Error{Op: "check", Path: fmt.Sprint(c), Err: err}
	}
	switch {
	case c == nil:
		return &Error{Op: "check", Err: invalidError("no condition")}
	case p.hasEnded():
		return failed(ErrExited)
	case ctx.Err() != nil:
		return failed(ctx.Err())
	}
	switch c := c.(type) {
	case TCP:
		if err := p.listens(ctx, c); err != nil {
			return failed(err)
		}
		return nil
	case LogLine:
		if c.Regexp == nil {
			return &Error{Op: "check", Path: "log", Err: invalidError("no regular expression")}
		}
		if err := p.hasLine(ctx, c); err != nil {
			return failed(err)
		}
		return nil
	}
	return failed(errors.ErrUnsupported)
}

// hasLine looks through what the logs have of this daemon.
func (p *Process) hasLine(ctx context.Context, c LogLine) error {
	logs := newLogLines(p.Record)
	defer logs.close()
	if len(logs.files) == 0 {
		return ErrNoLog
	}
	found := errNoLine
	err := logs.read(func(line []byte) bool {
		if c.Match(line) {
			found = nil
		}
		return found != nil && ctx.Err() == nil
	})
	if err == nil && found != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return found
}
