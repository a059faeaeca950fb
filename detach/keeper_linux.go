package detach

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/service"
)

// keeper keeps the unit of a daemon from being forgotten, so that systemd tells
// how the daemon ended. The zero keeper keeps nothing.
type keeper struct {
	manager service.Manager
	unit    string
	memory  bool // limited: then the unit tells more when it has gone
	own     bool // the connection is this keeper's to close
}

// kernelTells tells whether the kernel itself will say how a daemon ended. A
// test has it say no.
var kernelTells = func(pidfd int) bool { return tellsExit(pidfd) }

// keeper is for before the end of the daemon, if the kernel will not tell.
func (p *Process) keeper(ctx context.Context, handle *os.File) keeper {
	if p.Record.Unit == "" {
		return keeper{}
	}
	tells := false
	_ = control(handle, func(fd int) error { tells = kernelTells(fd); return nil })
	memory := p.Record.Limits != nil && p.Record.Limits.Memory > 0
	if tells && !memory {
		return keeper{}
	}
	if p.held != nil {
		return keeper{manager: p.held, unit: p.Record.Unit, memory: memory}
	}
	m, err := service.Connect(ctx, p.Record.UnitUser)
	if err != nil {
		return keeper{}
	}
	k := keeper{m, p.Record.Unit, memory, true}
	// Its PID, so that it is not a later unit of the same name.
	u, err := m.Look(ctx, k.unit)
	if err == nil && u.PID == p.PID {
		err = m.Keep(ctx, k.unit)
	}
	if err != nil || u.PID != p.PID {
		k.close()
		return keeper{}
	}
	return k
}

func (k keeper) close() {
	if k.own {
		k.manager.Close()
	}
}

// exit returns how the daemon has ended. systemd may be told of it a moment
// later than this process.
func (k keeper) exit(ctx context.Context) Exit {
	if k.manager == nil {
		return Exit{}
	}
	deadline := time.Now().Add(reaperPatience)
	for {
		u, err := k.manager.Look(ctx, k.unit)
		switch {
		case err != nil:
			return Exit{}
		case exitOfUnit(u).Known && !k.mayTellMore(u, deadline):
			return exitOfUnit(u)
		case u.Gone() || time.Now().After(deadline):
			return Exit{}
		}
		select {
		case <-ctx.Done():
			return Exit{}
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// exitInUnit asks systemd how a daemon has ended whose unit is still there: what
// it has left in it runs on.
func (r Record) exitInUnit(ctx context.Context, managers *managers) Exit {
	if r.Unit == "" {
		return Exit{}
	}
	m, err := managers.connect(ctx, r.UnitUser)
	if err != nil {
		return Exit{}
	}
	u, err := m.Look(ctx, r.Unit)
	if err != nil || u.Was != r.PID || u.PID == r.PID {
		return Exit{}
	}
	return exitOfUnit(u)
}

// mayTellMore tells whether systemd may yet say of a killed daemon that it was
// memory.
func (k keeper) mayTellMore(u service.Unit, deadline time.Time) bool {
	exit := exitOfUnit(u)
	return k.memory && exit.Signal == unix.SIGKILL && !exit.OOM && !u.Gone() && time.Now().Before(deadline)
}

// forgetPatience is how long systemd may take to forget a unit of which nothing
// runs.
const forgetPatience = 5 * time.Second

// forget makes systemd forget the unit of a daemon that was stopped: another
// one may be started at once, and none is started by systemd. Where that cannot
// be, it comes to the same a moment later.
func (p *Process) forget(ctx context.Context) {
	p.Record.removeCgroup(ctx, forgetPatience)
	if !p.ownsUnit() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetPatience)
	defer cancel()
	m := p.held
	if m == nil {
		var err error
		if m, err = service.Connect(ctx, p.Record.UnitUser); err != nil {
			return
		}
		defer m.Close()
	}
	// Of another daemon, by now, is what runs there.
	if u, err := m.Look(ctx, p.Record.Unit); err == nil && (u.Gone() || u.PID == p.PID || p.Record.Restart != RestartNo || u.PID == 0 && u.Active == "active") {
		_ = m.Stop(ctx, p.Record.Unit)
		if p.pidFile == "" { // else that is done with the lock on it
			_ = p.Record.dropIn().remove()
		}
	}
}
