//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

// control is no death of a manager but the test of the tester. Each launcher
// goes through it first: if the probe is not seen dead, then nothing that
// detachtest says of this launcher is worth anything.
var control = death{
	name: "control",
	who:  "Nobody: the probe itself is killed by its PID, to show that detachtest sees a death when there is one.",
	blow: "the kill",
	deal: func(_ context.Context, s *stage) error {
		return s.probe.signal(unix.SIGKILL)
	},
}
