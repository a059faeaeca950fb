//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

var sigkillGroup = death{
	name: "sigkill-group",
	who:  "CI runners once their patience is over, subprocess wrappers on a timeout: SIGKILL to the manager's process group.",
	deal: func(_ context.Context, s *stage) error {
		return s.signalGroup(unix.SIGKILL)
	},
}
