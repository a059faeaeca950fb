//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

var sigkill = death{
	name: "sigkill",
	who:  "The kernel when memory runs out, or an operator with kill -9: the manager alone is killed.",
	deal: func(_ context.Context, s *stage) error {
		return s.manager.signal(unix.SIGKILL)
	},
}
