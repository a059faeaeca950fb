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

// remains are those of the processes which a daemon that has ended has left, and
// a note about them. Where they may be a stranger's they are not.
func (p *Process) remains(list []proc.Process) (left []proc.Process, note string) {
	left = slices.DeleteFunc(p.members(list), p.is)
	switch {
	case len(left) == 0:
		return nil, ""
	case !p.ours(list):
		return nil, "it has ended, and it cannot be told whether what is in a session of its number is what it has left"
	}
	return left, "it has ended, and left processes behind in its session"
}
