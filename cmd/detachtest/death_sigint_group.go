//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

var sigintGroup = death{
	name: "sigint-group",
	who:  "Test runners and build tools that pass on an interrupt: SIGINT to the manager's process group.",
	deal: func(_ context.Context, s *stage) error {
		return s.signalGroup(unix.SIGINT)
	},
}
