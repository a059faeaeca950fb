package detach

import (
	"errors"
	"slices"

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
	pidfd, _, _, err := openAlive(named.pid, identity)
	switch {
	case err == nil:
		unix.Close(pidfd)
		return nil, &Error{Op: "open", Path: path, Err: &RunningError{PID: named.pid}}
	case !errors.Is(err, ErrExited):
		return nil, &Error{Op: "open", Path: path, Err: err}
	}
	return p, nil
}

// remains are what a daemon that has ended has left in its session, where that
// is known to be the daemon's.
func (p *Process) remains(list []proc.Process) []proc.Process {
	left := slices.DeleteFunc(p.members(list), p.is)
	if len(left) == 0 || !p.ours(list) {
		return nil
	}
	return left
}
