//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

var checkSignals = check{
	name:     "signals",
	who:      "Operators whose kill does nothing: the manager, or what started it, ignored or blocked a signal, and the program has inherited that.",
	stagings: []staging{{faults: []string{faultSignals}}},
	examine: func(_ context.Context, _ *stage, b *birth) (finding, error) {
		blocked, ignored, err := b.signals()
		if err != nil {
			return finding{}, err
		}
		var wrong []string
		for _, state := range []struct {
			name string
			set  sigset
		}{{"ignored", ignored & visibleSignals}, {"blocked", blocked & visibleSignals}} {
			switch {
			case state.set == visibleSignals:
				wrong = append(wrong, "all signals "+state.name)
			case state.set != 0:
				wrong = append(wrong, fmt.Sprintf("%s %s", state.set, state.name))
			}
		}
		if len(wrong) > 0 {
			return found(bad, "born with %s", strings.Join(wrong, ", with ")), nil
		}
		return found(good, "all at their defaults, none blocked"), nil
	},
}

// visibleSignals are those that are judged. The shell that looks, before the
// probe, catches SIGCHLD itself.
const visibleSignals = programSignals &^ (1 << (unix.SIGCHLD - 1))
