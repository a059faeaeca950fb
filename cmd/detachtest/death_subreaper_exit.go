//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

// subreaperExit kills the manager as it adopts the orphans below it, as
// systemd --user, containerd-shim, tini -s and Bazel's process wrapper do. What
// the kernel then does is the death: the orphans go to the next subreaper, and
// each that has a parent-death signal set is sent it. Subreapers that kill what
// they have adopted before they end are kill-tree's business.
var subreaperExit = death{
	name: "subreaper-exit",
	who:  "A container shim, a user's service manager or a build tool that adopts orphans and crashes: the manager is a subreaper and is killed, and the orphans it has adopted lose their second parent.",
	prepare: func(s *stage) error {
		s.prelude = append(s.prelude, stepSubreaper)
		return nil
	},
	deal: func(_ context.Context, s *stage) error {
		return s.manager.signal(unix.SIGKILL)
	},
}
