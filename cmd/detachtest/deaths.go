//go:build linux

package main

import (
	"context"
	"os/exec"

	"golang.org/x/sys/unix"
)

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
	// by says by what it finds its victims, where that is not what they are to
	// the manager.
	by string
	// ownOnly says why it can only be done to a manager of detachtest's own. It is
	// empty where the user's own manager can suffer it too.
	ownOnly string
	// lacks says why this machine cannot stage it, "" where it can. Nil for
	// what every machine can.
	lacks func() string
	// prepare makes ready what the death needs before the manager starts.
	prepare func(*stage) error
	// start starts the manager where it is not simply the leader of a session.
	start func(*stage, *exec.Cmd) error
	// parentSig is the parent-death signal of the launcher.
	parentSig unix.Signal
	// certain: nothing can survive it, which makes it a test of the tester.
	certain bool
}

// staging is how the stage is set for the death.
func (d death) staging() staging {
	return staging{prepare: d.prepare, start: d.start, terminal: d.terminal, parentSig: d.parentSig}
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
	fullPipe,
	pdeathsig,
	subreaperExit,
	fdHolders,
	cgroupKill,
	systemdStop,
	systemdRestart,
	logout,
	gitlab,
	githubActions,
	jenkins,
	jenkinsPipeline,
	containerStop,
}
