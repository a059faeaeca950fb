package main

import (
	"errors"
	"os"

	"github.com/detachkit/detach/detach"
)

// hinted is an error whose hint takes the command line to know.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// explain adds a hint to the error of a start where the error alone does not
// tell what to do.
func (o *options) explain(err error) error {
	var e *detach.Error
	if !errors.As(err, &e) {
		return err
	}
	hint := ""
	switch {
	case e.Op == "via" && e.Path == string(detach.ViaSystemd), errors.Is(err, detach.ErrNotSupervised):
		hint = o.withoutSystemd()
	case e.Op == "cgroup" && errors.Is(err, errors.ErrUnsupported):
		hint = "--cgroup goes with --via cgroup"
	case e.Op == "verify" && errors.Is(err, detach.ErrExited) && !o.logs():
		hint = "it ended at once; -o FILE gives it a log; if it puts itself into the background, have it not do that"
	}
	if hint == "" {
		return err
	}
	return &hinted{err, hint}
}

// withoutSystemd is a hint where systemd is not there and others cannot do what
// was asked for.
func (o *options) withoutSystemd() string {
	l := o.cmd.Limits
	switch {
	case exists("/run/systemd/system"): // sd_booted(3)
		return ""
	case o.cmd.Restart != detach.RestartNo || o.cmd.Watchdog != 0:
		return "only systemd looks after a daemon, and it is not the init here: leave out --restart and --watchdog, or have the init of this machine start the program"
	case l.Memory != 0 || l.CPUs != 0 || l.Tasks != 0 || l.IOWeight != 0:
		return "systemd is not the init here; --via cgroup does without"
	}
	return ""
}

// logs tells whether what the program writes can be read afterwards.
func (o *options) logs() bool {
	named := func(path string) bool { return path != "" && path != os.DevNull }
	if o.cmd.Stdout != "" || o.cmd.Stderr != "" {
		return named(o.cmd.Stdout) || named(o.cmd.Stderr)
	}
	for _, file := range []*os.File{os.Stdout, os.Stderr} {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}
