//go:build linux

package main

import (
	"context"
	"slices"
)

var checkHelpers = check{
	name:     "helpers",
	who:      "Machines with a thousand servers, each of them with a launcher beside it that waits for nothing, uses memory and gets the signals.",
	stagings: []staging{{adopts: true}},
	examine: func(ctx context.Context, s *stage, b *birth) (finding, error) {
		var left []stat
		gone, err := await(ctx, steadily(func() (bool, error) {
			var err error
			left, err = s.helpers(b)
			return len(left) == 0, err
		}))
		if err != nil {
			return finding{}, err
		}
		if gone {
			return found(good, "nothing is left but the program"), nil
		}
		return found(bad, "left besides the program: %s", describe(left)), nil
	},
}

// helpers returns what a launch has left behind besides the probe. What a
// manager of the user's own runs for itself is not to be told from a helper,
// unless it stands between the manager and the probe.
//
// Precondition: the leader adopts orphans.
func (s *stage) helpers(b *birth) ([]stat, error) {
	all, err := descendants(s.leader.pid)
	if err != nil {
		return nil, err
	}
	byPID := map[int]stat{}
	for _, p := range all {
		byPID[p.pid] = p
	}
	below := func(p stat, root int) bool {
		for ; p.pid != 0; p = byPID[p.parent] {
			if p.parent == root {
				return true
			}
		}
		return false
	}
	probe := byPID[b.PID]
	return slices.DeleteFunc(all, func(p stat) bool {
		switch {
		case p.pid == s.manager.pid, p.pid == b.PID, below(p, b.PID):
			return true
		case s.socket == nil && below(p, s.manager.pid):
			return !below(probe, p.pid)
		}
		return false
	}), nil
}
