//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

var fdHolders = death{
	name: "fd-holders",
	who:  "fuser -k on the manager's lock file, by whoever wants the lock back: everybody who has that file open is killed, and a lock that is inherited is open.",
	prepare: func(s *stage) error {
		s.prelude = append(s.prelude, stepLock+s.nest.path(lockFile))
		return nil
	},
	// One pass, as fuser makes.
	deal: func(_ context.Context, s *stage) error {
		var lock unix.Stat_t
		if err := unix.Stat(s.nest.path(lockFile), &lock); err != nil {
			return err
		}
		own, err := s.own()
		if err != nil {
			return err
		}
		var holders []stat
		for _, p := range own {
			if hasOpen(p.pid, &lock) {
				holders = append(holders, p)
			}
		}
		return killAll(holders)
	},
	by: "open file",
}
