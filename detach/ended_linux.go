package detach

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

func openEnded(path string) (*Process, error) {
	named, err := readNamed(path)
	if err != nil {
		return nil, err
	}
	p := &Process{PID: named.pid, pidFile: named.pidFile, Record: Record{Identity: Identity{PID: named.pid}}}
	var identity *Identity
	if named.record != nil {
		p.Record, identity = *named.record, &named.record.Identity
	}
	p.guessed = identity == nil
	pidfd, _, err := openAlive(named.pid, identity)
	switch {
	case err == nil:
		unix.Close(pidfd)
		return nil, &Error{Op: "open", Path: path, Err: &RunningError{PID: named.pid}}
	case !errors.Is(err, ErrExited):
		return nil, &Error{Op: "open", Path: path, Err: err}
	}
	return p, nil
}

// remains are those of the processes which are a daemon's that has ended. One
// that was found when it had ended holds nothing that keeps the number of its
// session from being given to a stranger.
func (p *Process) remains(list []proc.Process) []proc.Process {
	var left []proc.Process
	for _, q := range p.members(list) {
		if !p.is(q) && (p.handle != nil || p.leftBehind(q)) {
			left = append(left, q)
		}
	}
	return left
}
