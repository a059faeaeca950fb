//go:build linux

package main

import "context"

var checkZombies = check{
	name: "zombies",
	who:  "Managers that do not wait for what they have started, as most do not: their process table fills up with <defunct>, and a dead program looks alive to kill -0.",
	// The manager waits for its launcher until that ends by itself, and for
	// nobody else.
	examine: func(ctx context.Context, s *stage, b *birth) (finding, error) {
		if err := s.probe.kill(); err != nil {
			return finding{}, err
		}
		var dead []stat
		none, err := await(ctx, steadily(func() (bool, error) {
			var err error
			dead, err = processesAndZombies(func(p stat) bool { return p.zombie() && p.parent == s.manager.pid })
			return len(dead) == 0, err
		}))
		if err != nil {
			return finding{}, err
		}
		if none {
			return found(good, "none in the manager, not even when the program has ended"), nil
		}
		for _, p := range dead {
			if p.pid == b.PID {
				return found(bad, "when the program has ended it is a zombie of the manager, until that waits for it"), nil
			}
		}
		return found(bad, "the launcher leaves the manager zombies to wait for: %s", describe(dead)), nil
	},
}
