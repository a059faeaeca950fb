//go:build linux

package main

import (
	"context"
)

var killSession = death{
	name: "kill-session",
	who:  "pkill -s, login managers that end a session: SIGKILL to all processes in the manager's session.",
	deal: func(_ context.Context, s *stage) error {
		return s.killSession()
	},
}
