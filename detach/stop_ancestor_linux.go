package detach

import (
	"os"

	"github.com/detachkit/detach/detach/internal/proc"
)

// ancestorError is ErrAncestor of PID 1, which need not be one of the caller's
// ancestors: who has entered its PID namespace ends with it all the same.
type ancestorError struct{}

func (ancestorError) Error() string        { return "is PID 1, with which everything here ends" }
func (ancestorError) Is(target error) bool { return target == ErrAncestor }

// spareCaller refuses to stop what the caller lives by, if that was found by a
// number. A daemon on record, or known by its identity, may be one: what it has
// started may stop it.
func (p *Process) spareCaller() error {
	switch {
	case p.Record.Version > 0:
		return nil
	case p.PID == 1:
		return ancestorError{}
	case p.identified:
		return nil
	}
	// Where /proc hides an ancestor, it is somebody else's.
	for pid := os.Getpid(); pid > 1; {
		if pid == p.PID {
			return ErrAncestor
		}
		stat, err := proc.ReadStat(pid)
		if err != nil {
			break
		}
		pid = stat.Parent
	}
	return nil
}
