package systemd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/detachkit/detach/detach/internal/service"
)

// oldest is the first version with all that a start needs: Type=exec came with
// 240, ExecStartEx with 243.
const oldest = 243

// jobPatience is how long systemd may take to execute the program, beside
// TimeoutStartSec= of the unit, which is shorter.
const (
	startTimeout = 30 * time.Second
	jobPatience  = startTimeout + 2*patience
)

// Start starts a service as a double fork would start the program.
func (c *conn) Start(ctx context.Context, s *service.Spec) (int, error) {
	if c.version < oldest {
		return 0, fmt.Errorf("systemd %d: %d or later is needed: %w", c.version, oldest, errors.ErrUnsupported)
	}
	if !c.calls.SupportsUnixFDs() {
		return 0, fmt.Errorf("its bus passes no descriptors: %w", errors.ErrUnsupported)
	}
	if err := c.makeRoom(s); err != nil {
		return 0, err
	}
	properties, err := c.properties(ctx, s)
	if err != nil {
		return 0, err
	}
	result := make(chan string, 1)
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = c.systemd.StartTransientUnitContext(asking, s.Unit, "fail", properties, result)
	switch {
	case isError(err, "org.freedesktop.systemd1.UnitExists"):
		return 0, service.ErrExists
	case err != nil && isAnswer(err):
		return 0, err
	case err != nil:
		return 0, c.unanswered(s.Unit, answer(ctx, err))
	}
	timer := time.NewTimer(jobPatience)
	defer timer.Stop()
	if s.Notifies { // the job takes until it is ready
		return c.executed(ctx, s, result, timer.C)
	}
	select {
	case word := <-result:
		if word != "done" {
			return 0, c.failed(s.Unit, word)
		}
	case <-ctx.Done():
		return 0, c.unanswered(s.Unit, ctx.Err())
	case <-c.calls.Context().Done():
		return 0, c.unanswered(s.Unit, errors.New("the connection was closed"))
	case <-timer.C:
		return 0, c.unanswered(s.Unit, errors.New("no answer within "+jobPatience.String()))
	}
	var pid uint32 // ExecMainPID stays when the process has ended
	if err := c.get(ctx, unitPath(s.Unit), serviceFace, "ExecMainPID", &pid); err != nil {
		return 0, c.unanswered(s.Unit, err)
	}
	return int(pid), nil
}

// executed waits until the program of a service that notifies has been executed.
func (c *conn) executed(ctx context.Context, s *service.Spec, result <-chan string, timeout <-chan time.Time) (int, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		select {
		case word := <-result:
			if word != "done" {
				return 0, c.failed(s.Unit, word)
			}
			result = nil // it is ready already
		case <-ctx.Done():
			return 0, c.unanswered(s.Unit, ctx.Err())
		case <-c.calls.Context().Done():
			return 0, c.unanswered(s.Unit, errors.New("the connection was closed"))
		case <-timeout:
			return 0, c.unanswered(s.Unit, errNoAnswer)
		case <-time.After(pause):
		}
		var pid uint32
		if err := c.get(ctx, unitPath(s.Unit), serviceFace, "ExecMainPID", &pid); err != nil {
			return 0, c.unanswered(s.Unit, err)
		}
		if pid > 0 && (result == nil || service.IsExecuted(int(pid))) {
			return int(pid), nil
		}
		if pid == 0 {
			continue
		}
		u, err := c.Look(ctx, s.Unit)
		if err != nil {
			return 0, c.unanswered(s.Unit, err)
		}
		if u.Code != 0 { // of the process that was the first, whatever is left of the unit
			return 0, c.failed(s.Unit, "failed")
		}
	}
}

// isAnswer tells whether it is systemd, or the bus before it has passed on the
// question, that has said no.
func isAnswer(err error) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && !isError(err,
		"org.freedesktop.DBus.Error.NoReply", // the bus does not wait any longer, or systemd has gone
		"org.freedesktop.DBus.Error.Timeout",
		"org.freedesktop.DBus.Error.TimedOut",
		"org.freedesktop.DBus.Error.Disconnected")
}

// unanswered makes sure that a service which was asked for does not run after
// all, on a new connection by the same way: systemd is told in that order, and
// refuses who has gone. By another way it might be told of the start later.
func (c *conn) unanswered(unit string, reason error) error {
	c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	again, err := connectTo(ctx, c.user, c.address)
	if err == nil {
		err = again.Stop(ctx, unit)
		again.Close()
	}
	if err != nil {
		return &service.UnansweredError{Unit: unit, Err: reason}
	}
	return reason
}

// failed says why a job has failed, and has the unit forgotten.
func (c *conn) failed(unit, word string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e := &service.FailedError{Result: word}
	if u, err := c.Look(ctx, unit); err == nil && word == "failed" {
		e.Unit = u
	}
	if err := c.Stop(ctx, unit); err != nil {
		return &service.UnansweredError{Unit: unit, Err: err}
	}
	return e
}

func (c *conn) properties(ctx context.Context, s *service.Spec) ([]sd.Property, error) {
	var own []string
	if err := c.get(ctx, managerPath, managerFace, "Environment", &own); err != nil {
		return nil, err
	}
	var list []sd.Property
	set := func(name string, value any) {
		list = append(list, sd.Property{Name: name, Value: dbus.MakeVariant(value)})
	}
	set("Description", s.Description)
	kind, timeout := "exec", uint64(startTimeout/time.Microsecond)
	if s.Notifies {
		kind, timeout = "notify", math.MaxUint64
		if s.StartTimeout > 0 {
			timeout = uint64(s.StartTimeout / time.Microsecond)
		}
	}
	set("Type", kind)
	set("Slice", "detach.slice")
	set("CollectMode", "inactive-or-failed")
	if c.onBus {
		set("AddRef", true)
	}
	// As long as anything of it is left it goes on: what a program has put into
	// the background outlives it after a double fork too.
	switch {
	case s.Supervised: // the end of the program itself is what counts
	case c.version >= 250:
		set("ExitType", "cgroup")
	default:
		set("KillMode", "process")
	}
	set("OOMPolicy", "continue")
	set("TimeoutStartUSec", timeout)
	if s.PlainWords() {
		set("ExecStart", []plainCommand{{Path: s.Path, Args: s.Args}})
	} else { // systemd 252 does not read this one again after a daemon-reload
		set("ExecStartEx", []command{{s.Path, s.Args, []string{"no-env-expand"}}})
	}
	set("WorkingDirectory", s.Dir)
	set("UMask", uint32(s.Umask))
	set("IgnoreSIGPIPE", false)
	set("Environment", s.Env)
	unset := unwanted(own, s.Env)
	if s.Watched || s.Notifies {
		unset = slices.DeleteFunc(unset, func(name string) bool {
			return name == "NOTIFY_SOCKET" || name == "WATCHDOG_PID" || name == "WATCHDOG_USEC"
		})
	}
	set("UnsetEnvironment", unset)
	if !s.Supervised { // systemd closes them when the program ends
		set("StandardInputFileDescriptor", dbus.UnixFD(s.Stdio[0]))
		set("StandardOutputFileDescriptor", dbus.UnixFD(s.Stdio[1]))
		set("StandardErrorFileDescriptor", dbus.UnixFD(s.Stdio[2]))
	}
	for _, l := range s.Limits {
		set("Limit"+l.Name, l.Hard)
		set("Limit"+l.Name+"Soft", l.Soft)
	}
	if s.Nice != nil {
		set("Nice", int32(*s.Nice))
	}
	if s.OOMScoreAdj != nil {
		set("OOMScoreAdjust", int32(*s.OOMScoreAdj))
	}
	if s.User != "" {
		set("User", s.User)
		set("Group", s.Group)
		set("SupplementaryGroups", s.Groups)
	}
	for _, p := range s.Properties {
		set(p.Name, p.Value)
	}
	return list, nil
}

// command is an entry of ExecStartEx, see org.freedesktop.systemd1(5).
type command struct {
	Path  string
	Args  []string
	Flags []string
}

// plainCommand is an entry of ExecStart, in which variables are expanded.
type plainCommand struct {
	Path          string
	Args          []string
	IgnoreFailure bool
}

// unwanted are the variables that systemd would set beside those of env.
func unwanted(own, env []string) []string {
	names := slices.Clone(service.OwnVariables)
	for _, entry := range own {
		name, _, _ := strings.Cut(entry, "=")
		names = append(names, name)
	}
	wanted := map[string]bool{}
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		wanted[name] = true
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool { return wanted[name] })
}
