//go:build linux

package main

import "context"

var hangup = death{
	name:     "hangup",
	who:      "An ssh connection that is lost, a terminal window that is closed: the manager's terminal is hung up.",
	terminal: true,
	deal: func(_ context.Context, s *stage) error {
		return s.terminal.close()
	},
}
