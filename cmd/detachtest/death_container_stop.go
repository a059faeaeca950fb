//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

// containerStop is another test of the tester. What a launcher can do about it
// is nothing, so that nobody is blamed for it.
var containerStop = death{
	name:    "container-stop",
	who:     "docker stop, kubectl delete pod: the manager is PID 1 of a container and is killed. The kernel ends all that is in the container with it, so nothing can survive: it shows that detachtest sees that.",
	lacks:   lacksContainer,
	start:   (*stage).startContainer,
	certain: true,
	prepare: func(s *stage) error {
		s.prelude = append(s.prelude, stepProc+"/proc")
		return nil
	},
	deal: func(_ context.Context, s *stage) error {
		return s.manager.signal(unix.SIGKILL)
	},
}
