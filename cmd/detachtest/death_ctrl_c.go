//go:build linux

package main

import "context"

var ctrlC = death{
	name:     "ctrl-c",
	who:      "Somebody at the terminal in whose foreground the manager runs: Ctrl-C is typed.",
	terminal: true,
	deal: func(_ context.Context, s *stage) error {
		return s.terminal.interrupt()
	},
}
