//go:build linux

package main

import "context"

// A death is one way in which a manager, or what it holds, comes to its end.
type death struct {
	name string
	// who says, in a sentence, who does this in real life.
	who string
	// deal does it. It need not wait for the consequences.
	deal func(context.Context, *stage) error
	// terminal: the manager runs in the foreground of a terminal.
	terminal bool
	// blow names what is done where the manager is to live on. It is empty
	// where the manager's own end is the blow.
	blow string
	// pipes: it is done to the pipes between the manager and the launcher,
	// which nobody can reach in a manager of the user's own.
	pipes bool
}

// deaths are the deaths to survive, in the order of the report.
var deaths = []death{
	sigkill,
	sigtermGroup,
	sigintGroup,
	sigkillGroup,
	ctrlC,
	hangup,
	killSession,
	killTree,
	closedPipes,
}
