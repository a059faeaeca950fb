package detach

import (
	"context"
	"strings"

	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/internal/service"
)

// supervisor is the unit by which systemd starts a daemon again that has ended.
// The nil supervisor does not.
type supervisor struct {
	manager service.Manager
	unit    string
	own     bool // the connection is this supervisor's to close
}

// supervisor finds who would start the daemon again, and makes sure that this can
// be called off: once the daemon has ended it is too late to be told.
func (p *Process) supervisor(ctx context.Context) (s *supervisor, err error) {
	recorded := p.Record.Version > 0
	unit, user := p.Record.Unit, p.Record.UnitUser
	switch {
	case p.handle == nil:
		return nil, nil // it has ended, and none was found in its place
	case !recorded:
		unit, user = p.serviceIn()
	case p.Record.Restart == RestartNo || !p.ownsUnit():
		return nil, nil
	}
	if unit == "" {
		return nil, nil
	}
	refuse := func(err error) (*supervisor, error) {
		return nil, &SupervisedError{Unit: unit, Err: err}
	}
	s = &supervisor{manager: p.held, unit: unit}
	if s.manager == nil {
		if s.manager, err = service.Connect(ctx, user); err != nil {
			if !recorded { // nobody has said that it is systemd's
				return nil, nil
			}
			return refuse(err)
		}
		s.own = true
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	u, err := s.manager.Look(ctx, unit)
	switch {
	case recorded && err != nil:
		return refuse(err)
	case recorded && u.Gone(), !recorded && (err != nil || u.PID != p.PID || !u.Restarts || s.manager.Peer() == 0):
		s.close()
		return nil, nil
	case !dropIn{unit: unit}.isOwn():
		return refuse(nil)
	}
	if err := s.manager.MayStop(ctx, unit); err != nil {
		return refuse(err)
	}
	return s, nil
}

// ownsUnit tells whether the unit on record is this daemon's: a record may say
// anything, and have been copied.
func (p *Process) ownsUnit() bool {
	return p.Record.dropIn().isOwn() && (p.pidFile == "" || named{record: &p.Record, pidFile: p.pidFile}.ownsUnit())
}

// serviceIn returns the service that a process is in, and whose it is.
func (p *Process) serviceIn() (unit string, user int) {
	content, err := proc.Read(procDir(p.PID)+"/cgroup", maxCgroup)
	if err != nil || !initIsSystemd() {
		return "", 0
	}
	place := placeOf(unitOf(content))
	unit = place.unit
	if place.userUnit != "" {
		unit, user = place.userUnit, place.user
	}
	if !strings.HasSuffix(unit, ".service") {
		return "", 0
	}
	return unit, user
}

// callOff keeps systemd from starting again what has been ended.
func (s *supervisor) callOff(ctx context.Context) error {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetPatience)
	defer cancel()
	if err := s.manager.Stop(ctx, s.unit); err != nil {
		return &SupervisedError{Unit: s.unit, Err: err}
	}
	return nil
}

func (s *supervisor) close() {
	if s != nil && s.own {
		s.manager.Close()
	}
}
