package detach

import (
	"context"
	"strings"
	"time"

	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/internal/service"
)

// supervisor is the unit by which systemd starts a daemon again that has ended.
// The nil supervisor does not.
type supervisor struct {
	manager service.Manager
	unit    string
	user    int  // whose service manager
	own     bool // the connection is this supervisor's to close

	nameless bool // there is no PID file, with which the drop-in would be removed
}

// askPatience is how long systemd is asked about a process that nobody has said
// to be in its hands.
const askPatience = time.Second

// supervisor finds who would start the daemon again, and makes sure that this can
// be called off: once the daemon has ended it is too late to be told.
func (p *Process) supervisor(ctx context.Context) (*supervisor, error) {
	switch {
	case p.handle == nil:
		return nil, nil // it has ended, and none was found in its place
	case p.Record.Version == 0:
		return p.unrecordedSupervisor(ctx)
	case p.Record.Restart == RestartNo || !p.ownsUnit():
		return nil, nil
	}
	s := &supervisor{manager: p.held, unit: p.Record.Unit, user: p.Record.UnitUser, nameless: p.pidFile == ""}
	if s.manager == nil {
		if err := s.connect(ctx); err != nil {
			return nil, s.error(err)
		}
	}
	u, err := s.manager.Look(ctx, s.unit)
	if err == nil && !u.Gone() {
		err = s.manager.MayStop(ctx, s.unit)
	}
	if err != nil {
		s.close()
		return nil, s.error(err)
	}
	if u.Gone() {
		s.close()
		return nil, nil
	}
	return s, nil
}

// unrecordedSupervisor is that of a process from Find.
func (p *Process) unrecordedSupervisor(ctx context.Context) (*supervisor, error) {
	unit, user := p.serviceIn()
	if unit == "" {
		return nil, nil
	}
	asking, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	s := &supervisor{unit: unit, user: user, nameless: true}
	if s.connect(asking) != nil {
		return nil, nil
	}
	u, err := s.manager.Look(asking, unit)
	own := dropIn{unit: unit}.isOwn()
	// SIGTERM, which others take for a success, does not start them again.
	again := u.Restart == "always" || u.Restart == "on-success" || own && u.Restart != "" && u.Restart != "no"
	if err != nil || u.PID != p.PID || !again || s.manager.Peer() == 0 {
		s.close()
		return nil, nil
	}
	if !own {
		s.close()
		return nil, s.error(nil)
	}
	if err := s.manager.MayStop(ctx, unit); err != nil {
		s.close()
		return nil, s.error(err)
	}
	return s, nil
}

func (s *supervisor) connect(ctx context.Context) (err error) {
	s.manager, err = service.Connect(ctx, s.user)
	s.own = err == nil
	return err
}

func (s *supervisor) error(err error) error {
	return &SupervisedError{Unit: s.unit, User: s.user, Err: err}
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

// callOff keeps systemd from starting again what has been ended. By now systemd may
// have been executed anew, and the connection be gone.
func (s *supervisor) callOff(ctx context.Context) error {
	if s == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	if s.nameless { // while the unit is there nobody makes another one
		_ = dropIn{s.unit, s.user}.remove()
	}
	if s.stop(ctx) == nil {
		return nil
	}
	s.close()
	if err := s.connect(ctx); err != nil {
		return s.error(err)
	}
	if err := s.stop(ctx); err != nil {
		return s.error(err)
	}
	return nil
}

// stop has systemd stop the unit. It is a success, too, when systemd is about it.
func (s *supervisor) stop(ctx context.Context) error {
	stopping, cancel := context.WithTimeout(ctx, forgetPatience)
	defer cancel()
	err := s.manager.Stop(stopping, s.unit)
	if err == nil {
		return nil
	}
	u, lookErr := s.manager.Look(ctx, s.unit)
	if lookErr == nil && (u.Gone() || u.Active == "deactivating" && u.Queued) {
		return nil
	}
	return err
}

func (s *supervisor) close() {
	if s != nil && s.own {
		s.manager.Close()
	}
}
