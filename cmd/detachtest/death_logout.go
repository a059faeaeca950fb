//go:build linux

package main

import "context"

var logout = death{
	name:    "logout",
	who:     "Somebody who logs out where logind has KillUserProcesses=yes: the session is closed, and whatever is left in its cgroup is stopped.",
	lacks:   lacksSession,
	prepare: (*stage).openSession,
	deal: func(ctx context.Context, s *stage) error {
		return s.closeSession(ctx)
	},
	by: "cgroup",
}
