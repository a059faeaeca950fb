//go:build linux

package main

import "context"

var checkTerminal = check{
	name:     "terminal",
	who:      "Servers that open a terminal one day, such as /dev/console for a message, get it as their controlling terminal, and from then on its Ctrl-C and its hang-up.",
	stagings: []staging{{terminal: true, acquires: true}},
	examine: func(_ context.Context, _ *stage, b *birth) (finding, error) {
		switch {
		case b.OpensTerminal || b.Terminal != 0:
			return found(bad, "it still has the manager's terminal as its own"), nil
		case b.AcquiresTerminal:
			return found(bad, "it leads its session, and got a controlling terminal by opening one"), nil
		}
		return found(good, "it has none, and got none by opening one"), nil
	},
}
