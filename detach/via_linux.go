package detach

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/service"
)

// holding is how a daemon will be held.
type holding struct {
	via      Via
	user     int             // with ViaSystemd: whose service manager, 0 for the machine's
	manager  service.Manager // with ViaSystemd
	sandbox  *sandbox        // with ViaSystemd
	managers managers
	place    place
	threat   *threat // to a daemon that is forked here
	auto     bool    // it may become a fork
	hazards  []Hazard
}

func (h *holding) close() {
	if h != nil {
		h.managers.close()
	}
}

// hold looks how the daemon is to be held, and starts nothing.
func (c *Cmd) hold(ctx context.Context) (_ *holding, err error) {
	h := &holding{via: c.Via, user: unix.Geteuid()}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	via := c.Via
	if c.supervised() {
		h.via, via = ViaSystemd, ViaSystemd
	}
	switch via {
	case ViaFork:
		if c.Limits.needCgroup() {
			return nil, &Error{Op: "limit", Path: c.Limits.controlledWords(), Err: errForkLimit}
		}
		if c.Strict {
			h.place = findPlace()
			h.threat = h.place.threat(ctx, &h.managers)
		}
	case ViaSystemd:
		if h.manager, err = h.managers.connect(ctx, h.user); err != nil {
			return nil, &Error{Op: "via", Path: "systemd", Err: err}
		}
	case ViaCgroup:
		h.place = findPlace()
	case ViaAuto:
		if !c.Limits.needCgroup() {
			h.choose(ctx)
			break
		}
		h.via, h.place = ViaCgroup, findPlace()
		if initIsSystemd() {
			h.via = ViaSystemd
			if h.manager, err = h.managers.connect(ctx, h.user); err != nil {
				return nil, &Error{Op: "via", Path: "systemd", Err: err}
			}
		}
	default:
		return nil, &Error{Op: "via", Path: string(c.Via), Err: invalidError("is none of the ways that there are")}
	}
	if c.Cgroup != "" && h.via != ViaCgroup {
		return nil, &Error{Op: "cgroup", Path: c.Cgroup, Err: unfitError("is only entered by what is held by a cgroup")}
	}
	if h.via == ViaSystemd {
		if err := h.compare(); err != nil {
			return nil, err
		}
	}
	if h.via == ViaSystemd { // still
		if err := cmp.Or(c.Limits.checkControllers(h.user), c.Limits.within(h.sandbox.manager)); err != nil {
			return nil, err
		}
	}
	if c.Limits.IOWeight != 0 {
		if err := weighingHere().check(c.Limits.IOWeight); err != nil {
			return nil, err
		}
	}
	h.look(ctx)
	return h, nil
}

// choose is for ViaAuto.
func (h *holding) choose(ctx context.Context) {
	h.via = ViaFork
	if h.place = findPlace(); h.place.unit == "" {
		return
	}
	if h.threat = h.place.threat(ctx, &h.managers); h.threat == nil {
		return
	}
	manager, err := h.managers.connect(ctx, h.user)
	if h.threat.err != nil || err != nil {
		h.fork(errors.Join(h.threat.err, err))
		return
	}
	h.via, h.manager, h.auto = ViaSystemd, manager, true
}

// compare looks what the caller and its service manager have not in common.
func (h *holding) compare() error {
	if h.manager.Peer() == 0 {
		if !h.auto {
			return &Error{Op: "via", Path: "systemd", Err: errElsewhere}
		}
		h.fork(errElsewhere)
		return nil
	}
	h.sandbox = findSandbox(h.manager, h.user)
	if err := h.sandbox.unfit(); err != nil && h.auto {
		h.fork(err)
	}
	return nil
}

// fork makes it a fork after all, for this reason.
func (h *holding) fork(reason error) {
	if h.threat != nil && reason != nil && h.threat.err != nil {
		reason = h.threat.err // the same, most likely, and one is enough
	}
	h.via, h.auto = ViaFork, false
	h.hazards = nil
	if h.threat != nil {
		h.hazards = []Hazard{h.threat.hazard(reason)}
	}
}

// look adds what remains of the danger.
func (h *holding) look(ctx context.Context) {
	if h.via == ViaFork && h.threat != nil && len(h.hazards) == 0 {
		h.hazards = []Hazard{h.threat.hazard(nil)}
	}
	if h.via == ViaSystemd {
		h.hazards = append(h.hazards, h.sandbox.hazards()...)
	}
	switch {
	case h.via == ViaSystemd && h.user != 0:
		h.hazards = append(h.hazards, lingerHazard(ctx, h.user)...)
	case h.via == ViaFork && h.place.user != 0:
		h.hazards = append(h.hazards, lingerHazard(ctx, h.place.user)...)
	}
}

// staysIn tells of a cgroup that is still in the caller's unit: that of who may
// not write outside a delegated subtree.
func (h *holding) staysIn(ctx context.Context, g *ownCgroup) []Hazard {
	if h.place.unit == "" || placeOf(g.path) != h.place {
		return nil
	}
	if t := h.place.threat(ctx, &h.managers); t != nil {
		return []Hazard{t.hazard(nil)}
	}
	return nil
}
