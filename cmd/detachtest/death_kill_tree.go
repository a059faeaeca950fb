//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

var killTree = death{
	name: "kill-tree",
	who:  "Supervisors, process managers and IDEs: all descendants of the manager, found by parent PID, are killed, and it with them.",
	// The tree is walked again until nothing is left of it, since a process
	// may fork while the others are being killed. The manager goes last: its
	// children are not to be found once it has.
	deal: func(ctx context.Context, s *stage) error {
		for ctx.Err() == nil {
			below, err := descendants(s.manager.pid)
			if err != nil {
				return err
			}
			if len(below) == 0 {
				break
			}
			if err := killAll(below); err != nil {
				return err
			}
		}
		return s.manager.signal(unix.SIGKILL)
	},
}
