package detach

import (
	"context"
	"os"
	"time"
)

// StopOptions is how to stop a daemon. The zero value sends SIGTERM and, after
// 30 seconds, SIGKILL.
type StopOptions struct {
	// Console is a command to write to the daemon's console instead of sending
	// it a signal. Empty means Record.StopConsole, and if that is empty too, or
	// Signal is set, the signal.
	Console string

	// Signal is what is sent to each process of the session. Nil means SIGTERM.
	Signal os.Signal

	// Timeout is how long all of them have before they get SIGKILL. Zero means
	// 30 seconds, negative no time at all: SIGKILL at once.
	Timeout time.Duration

	// Progress, if not nil, is called while it waits, a few times a second,
	// from the goroutine of the caller.
	Progress func(StopProgress)

	family bool // stop what descends from it as well, see Process.family
}

// StopProgress is what a stop has reached.
type StopProgress struct {
	Elapsed time.Duration
	Left    []int // PIDs of the processes that are still there
	Killing bool  // they have been sent SIGKILL
}

// Stopped is what a stop took.
type Stopped struct {
	How     StopWay       `json:"how"`
	Took    time.Duration `json:"took"`           // nanoseconds
	Console string        `json:"console"`        // what was written to the console, if anything
	Note    string        `json:"note,omitempty"` // why the command was not written to the console
	Signal  string        `json:"signal"`         // name of the signal that was sent, if any
	Killed  []int         `json:"killed"`         // PIDs of the processes that were sent SIGKILL
	Exit    Exit          `json:"exit"`           // of the daemon's first process
}

// StopWay is what has ended a daemon.
type StopWay string

const (
	StopGone    StopWay = "gone"    // nothing of it ran
	StopConsole StopWay = "console" // the command on its console
	StopSignal  StopWay = "signal"  // the signal
	StopKilled  StopWay = "killed"  // at least one process needed SIGKILL
)

// Stop ends the daemon and everything in its session and in the containers that
// this runs: first by its console or a signal, then by SIGKILL, in a loop until
// nothing is left of it. Then it removes the PID file and the record. A daemon
// that has ended already is a success; what it has left behind in its session is
// ended all the same.
//
// Each process is signalled through a pidfd that was opened before it was
// checked to belong to the session (and a stopped one is continued with
// SIGCONT, as by systemd.kill(5) SendSIGCONT). One that forks and ends too fast
// for that is killed at last by the process group that the daemon was born in.
// The session of a daemon is its own, but one of a process from Find may be
// somebody else's: unless it leads the session itself, only the process and its
// descendants in the session are stopped. What has left the session with a
// setsid(2) of its own is not stopped, unless it is in a PID namespace that the
// daemon has made: then it gets the signal when the session has ended.
//
// The error wraps the context's if that ended it, and then processes may be
// left; fs.ErrPermission if one of them may not be signalled; it is a
// *LeftError if the daemon has ended and what is in its session may be a
// stranger's; ErrNoRecord if the daemon was found by a PID file alone, or is
// hidden; a *SupervisedError if systemd would start it again and cannot be told
// not to; ErrAncestor if a process from Find is the caller, one of its ancestors
// or PID 1. With an error nothing is removed.
func (p *Process) Stop(ctx context.Context, o StopOptions) (Stopped, error) {
	return p.stop(ctx, o)
}

// Stop stops the daemon that a PID file, or the record beside it, names: see
// Process.Stop. It is a success if there is none: no file, or an ended daemon,
// whose files are then removed.
func Stop(ctx context.Context, pidfile string, o StopOptions) (Stopped, error) {
	return stopFile(ctx, pidfile, o)
}
