package main

import (
	"io"
)

// verb is a subcommand that looks after what was started. Each is in a file of
// its own, verb_NAME.go, with its usage text.
type verb struct {
	name string
	run  func(args []string, stdout, stderr io.Writer) (status int)
}

var verbs = []verb{
	{"status", runStatus},
	{"verify", runVerify},
	{"hazards", runHazards},
	{"unit", runUnit},
	{"stop", runStop},
	{"wait", runWait},
	{"console", runConsole},
	{"send", runSend},
	{"logs", runLogs},
}

func verbNamed(name string) *verb {
	for i := range verbs {
		if verbs[i].name == name {
			return &verbs[i]
		}
	}
	return nil
}
