package detach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxLine is the longest line in bytes, its newline included, that a write to
// a FIFO does not mix with those of others: PIPE_BUF in pipe(7).
const maxLine = 4096

// send writes a line to the console and waits until it has been read.
func (p *Process) send(ctx context.Context, line string) error {
	failed := func(err error) error {
		return &Error{Op: "send to", Path: cmp.Or(p.pidFile, strconv.Itoa(p.PID)), Err: err}
	}
	if err := checkLine(line); err != nil {
		return failed(err)
	}
	switch {
	case p.guessed:
		return failed(ErrNoRecord)
	case p.Record.Console == "":
		return failed(ErrNoConsole)
	case p.hasEnded():
		return failed(ErrExited)
	}
	fifo, err := p.openFIFO()
	if err == nil {
		defer unix.Close(fifo)
		err = p.writeLine(ctx, fifo, []byte(line+"\n"))
	}
	if errors.Is(err, ErrConsoleGone) && p.hasEnded() { // which is why nobody reads
		err = ErrExited
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

// checkLine refuses what is not one line, or would be mixed with another.
func checkLine(line string) error {
	if strings.ContainsAny(line, "\n\r\x00") {
		return fmt.Errorf("more than one line: %w", unix.EINVAL)
	}
	if len(line)+1 > maxLine {
		return fmt.Errorf("a line of %d bytes, and %d is the most: %w", len(line), maxLine-1, unix.EMSGSIZE)
	}
	return nil
}

// hasEnded tells whether the daemon has ended, reaped or not.
func (p *Process) hasEnded() bool {
	ended := true
	if p.handle != nil {
		_ = control(p.handle, func(fd int) error { ended = hasEnded(fd); return nil })
	}
	return ended
}

// openFIFO opens the console by its name, which must still lead to the FIFO
// that the daemon, or another process of its session, reads.
func (p *Process) openFIFO() (int, error) {
	fd, err := openAbove2(p.Record.Console, unix.O_WRONLY, 0)
	switch err {
	case nil:
	case unix.ENXIO:
		return -1, p.consoleGone("nobody reads")
	case unix.ENOENT:
		return -1, p.consoleGone("there is no")
	default:
		return -1, fmt.Errorf("open %s: %w", quoteOdd(p.Record.Console), err)
	}
	if err := p.checkFIFO(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (p *Process) checkFIFO(fd int) error {
	var own unix.Stat_t
	if err := unix.Fstat(fd, &own); err != nil {
		return err
	}
	if own.Mode&unix.S_IFMT != unix.S_IFIFO {
		return p.consoleGone("it does not read")
	}
	reads := func(pid int) (same bool, err error) {
		var theirs unix.Stat_t
		err = unix.Stat(fmt.Sprintf("/proc/%d/fd/0", pid), &theirs)
		return err == nil && theirs.Dev == own.Dev && theirs.Ino == own.Ino, err
	}
	switch same, err := reads(p.PID); {
	case same, err == unix.EACCES, err == unix.EPERM: // another user's: its name has to do
		return nil
	}
	list, err := looks.take()
	if err != nil {
		return err
	}
	for _, q := range p.members(list) {
		if same, _ := reads(q.PID); same {
			return nil
		}
	}
	return p.consoleGone("it does not read")
}

// consoleGone says what is wrong with the FIFO that was the console.
func (p *Process) consoleGone(what string) error {
	return fmt.Errorf("%w: %s %s", ErrConsoleGone, what, quoteOdd(p.Record.Console))
}

// consoleNote says in words why a command was not sent.
func consoleNote(err error) string {
	var e *Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return "the console command was not sent: " + err.Error()
}

// writeLine writes in one go, so that lines of several managers do not mix,
// and waits until somebody has read that much. There is no event for that.
func (p *Process) writeLine(ctx context.Context, fifo int, data []byte) error {
	written := false
	var unread, read, before int
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		ended := p.hasEnded() // before the look: it may read the line and end at once
		if !written {
			_, err := unix.Write(fifo, data)
			switch err {
			case nil:
				written = true
				if unread, err = queued(fifo); err != nil {
					return err
				}
				before = unread
			case unix.EAGAIN, unix.EINTR: // full
			case unix.EPIPE:
				return p.consoleGone("nobody reads")
			default:
				return err
			}
		} else {
			now, err := queued(fifo)
			if err != nil {
				return err
			}
			read += max(before-now, 0) // others may write meanwhile
			before = now
		}
		switch {
		case written && (before == 0 || read >= unread):
			return nil
		case ended:
			return ErrExited
		case ctx.Err() != nil:
			return &notReadError{ctx.Err(), written}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// notReadError is ErrNotRead because the context has ended.
type notReadError struct {
	cause   error
	written bool
}

func (e *notReadError) Error() string {
	interrupted := errors.Is(e.cause, context.Canceled) // it may be about to read
	switch {
	case interrupted && e.written:
		return "interrupted: the line waits in its console"
	case interrupted:
		return "interrupted: its console is full, nothing was written"
	case e.written:
		return ErrNotRead.Error() + ": the line waits in it"
	}
	return ErrNotRead.Error() + ", and it is full: nothing was written"
}

func (e *notReadError) Unwrap() []error { return []error{ErrNotRead, e.cause} }

// queued returns how many bytes are in a FIFO.
func queued(fifo int) (int, error) { return unix.IoctlGetInt(fifo, unix.TIOCINQ) }
