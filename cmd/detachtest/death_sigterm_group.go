//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

var sigtermGroup = death{
	name: "sigterm-group",
	who:  "CI runners that cancel a job, timeout(1), kill -- -PGID: SIGTERM to the manager's process group.",
	deal: func(_ context.Context, s *stage) error {
		return s.signalGroup(unix.SIGTERM)
	},
}
