package detach

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/internal/service"
)

// initIsSystemd tells whether systemd is the init, see sd_booted(3). That of a
// container ends with the container alone, as with a machine.
func initIsSystemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// place is where the caller is among the units of systemd.
type place struct {
	unit     string // of the machine's systemd: "panel.service", "session-3.scope", "user@1000.service"
	userUnit string // of a user's systemd, where unit is that
	user     int    // whose
	login    int    // whose session it is, where unit is one
}

// findPlace returns a place without units where there is no systemd.
func findPlace() place {
	if !initIsSystemd() {
		return place{}
	}
	content, err := proc.Read("/proc/self/cgroup", maxCgroup)
	if err != nil {
		return place{}
	}
	return placeOf(unitOf(content))
}

// placeOf finds the units in the path of a cgroup: the first one is of the
// machine's systemd, whatever is made below.
func placeOf(path string) place {
	p := place{login: -1}
	for name := range strings.SplitSeq(path, "/") {
		if n, ok := numberIn(name, "user-", ".slice"); ok && p.unit == "" {
			p.login = n
		}
		if !strings.HasSuffix(name, ".service") && !strings.HasSuffix(name, ".scope") {
			continue
		}
		if p.unit != "" {
			p.userUnit = unitName(name)
			break
		}
		p.unit = unitName(name)
		n, ok := numberIn(p.unit, "user@", ".service")
		if !ok {
			break
		}
		p.user = n
	}
	return p
}

// numberIn returns the number between the two.
func numberIn(name, before, after string) (n int, ok bool) {
	name, hasBefore := strings.CutPrefix(name, before)
	name, hasAfter := strings.CutSuffix(name, after)
	n, err := strconv.Atoi(name)
	return n, hasBefore && hasAfter && err == nil
}

// isSession tells whether the place is a login session, which logind ends.
func (p place) isSession() bool {
	return strings.HasPrefix(p.unit, "session-") && strings.HasSuffix(p.unit, ".scope")
}

// threat is what ends a daemon that stays in the cgroup of its manager.
type threat struct {
	unit    string
	setting string // "KillMode=control-group", "KillUserProcesses=yes"
	session bool
	err     error // why it could not be asked, and setting is empty
}

// threat asks what would end a daemon here; nil is nothing. In a login session it
// is the user who has logged in that counts, whoever the daemon belongs to.
func (p place) threat(ctx context.Context, managers *managers) *threat {
	if p.unit == "" {
		return nil
	}
	if p.isSession() {
		t := &threat{unit: p.unit, session: true}
		kills, err := killsProcesses(ctx, p.login)
		if err == nil && !kills {
			return nil
		}
		if t.err = err; err == nil {
			t.setting = "KillUserProcesses=yes"
		}
		return t
	}
	t := &threat{unit: p.unit}
	user := 0
	if p.userUnit != "" && p.user == unix.Geteuid() {
		t.unit, user = p.userUnit, p.user
	}
	m, err := managers.connect(ctx, user)
	var mode string
	if err == nil {
		mode, err = m.KillMode(ctx, t.unit)
	}
	if t.err = err; err == nil {
		t.setting = "KillMode=" + mode
		if mode == "process" || mode == "none" {
			return nil
		}
	}
	return t
}

func killsProcesses(ctx context.Context, uid int) (bool, error) {
	s, err := service.ConnectSessions(ctx)
	if err != nil {
		return false, err
	}
	defer s.Close()
	return s.KillsProcesses(ctx, uid)
}

// hazard says it, of a daemon that stays here because of reason.
func (t *threat) hazard(reason error) Hazard {
	h := Hazard{Code: HazardCgroup}
	unit := quoteOdd(t.unit)
	switch {
	case t.session && t.setting == "":
		h.Text = fmt.Sprintf("it is in the login session %s: where logind has KillUserProcesses=yes, which could not be asked (%v), the logout ends it too", unit, t.err)
	case t.session:
		h.Text = fmt.Sprintf("it is in the login session %s, and logind has %s: the logout ends it too", unit, t.setting)
	case t.setting == "":
		h.Text = fmt.Sprintf("it is in the cgroup of %s: unless that has KillMode=process, which could not be asked (%v), systemctl stop or restart of it ends it too", unit, t.err)
	default:
		h.Text = fmt.Sprintf("it is in the cgroup of %s, which has %s: systemctl stop or restart of that unit ends it too", unit, t.setting)
	}
	if reason != nil && reason != t.err {
		h.Text += "; it is no service of its own because: " + strings.TrimPrefix(reason.Error(), "detach: ")
	}
	linger := ""
	if uid := unix.Geteuid(); uid != 0 {
		linger = fmt.Sprintf("loginctl enable-linger %d", uid)
	}
	switch {
	case t.session && linger == "":
		h.Remedy = "start it with --via systemd, or set KillUserProcesses=no in logind.conf"
	case t.session:
		h.Remedy = "give the user a systemd that stays, " + linger + ", or set KillUserProcesses=no in logind.conf"
	case isDynamic(unix.Geteuid()):
		h.Remedy = "set KillMode=process in " + unit + ", or a User= of /etc/passwd, which a dynamic user is not, and let that one linger: loginctl enable-linger USER"
	case linger == "":
		h.Remedy = "set KillMode=process in " + unit + ", or start it with --via systemd"
	default:
		h.Remedy = "set KillMode=process in " + unit + ", or give its user a systemd that stays: " + linger
	}
	return h
}

// lingerHazard is that of a daemon below the systemd of a user who does not
// linger; nil if he does, or it cannot be told.
func lingerHazard(ctx context.Context, user int) []Hazard {
	s, err := service.ConnectSessions(ctx)
	if err != nil {
		return nil
	}
	defer s.Close()
	if lingers, err := s.Lingers(ctx, user); err != nil || lingers {
		return nil
	}
	return []Hazard{{
		Code:   HazardLinger,
		Text:   fmt.Sprintf("it is below user@%d.service, the systemd of its user, who does not linger: the last logout ends it", user),
		Remedy: fmt.Sprintf("loginctl enable-linger %d", user),
	}}
}

// managers are connections to service managers, each made when it is first
// needed.
type managers struct {
	made map[int]made
}

type made struct {
	service.Manager
	err error
}

func (m *managers) connect(ctx context.Context, user int) (service.Manager, error) {
	if c, ok := m.made[user]; ok {
		return c.Manager, c.err
	}
	c, err := service.Connect(ctx, user)
	if m.made == nil {
		m.made = map[int]made{}
	}
	m.made[user] = made{c, err}
	return c, err
}

func (m *managers) close() {
	for _, c := range m.made {
		if c.err == nil {
			c.Close()
		}
	}
}
