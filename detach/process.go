package detach

import (
	"context"
	"os"
)

// Process is a daemon that was started, or found again. It holds a pidfd, see
// pidfd_open(2), so whatever is done through it is done to that process, and
// to no other one that has got its PID since. Its methods may be called from
// several goroutines.
type Process struct {
	PID    int
	Record Record // what is known of it
	Report Report // what was seen at the start; empty after Open

	handle  *os.File // the pidfd
	pidFile string   // as an absolute path where it could be told
}

// Open finds the daemon that a PID file names, such as after the manager was
// restarted. The error wraps fs.ErrNotExist if there is no such file, and
// ErrExited if the process it names has ended, even when its PID is in use
// again.
//
// A PID file without a Record (its writer was killed before it could write it,
// or was another program) is believed while its process is alive. The Record
// then has Version 0 and holds the identity of that process, which may be a
// stranger that has got the PID: Signal and Kill refuse with ErrNoRecord.
func Open(pidfile string) (*Process, error) {
	return open(pidfile)
}

// Identity returns what identifies the daemon for ever.
func (p *Process) Identity() Identity { return p.Record.Identity }

// PIDFD returns the pidfd. It is readable once the daemon has ended, and is
// closed by Close.
func (p *Process) PIDFD() int { return int(p.handle.Fd()) }

// Signal sends a signal to the daemon. The error wraps os.ErrProcessDone if it
// has ended, os.ErrClosed after Close, and ErrNoRecord if it was found by a PID
// file alone.
func (p *Process) Signal(sig os.Signal) error {
	if p.Record.Version == 0 {
		return &Error{Op: "signal", Path: sig.String(), Err: ErrNoRecord}
	}
	return signalHandle(p.handle, sig)
}

// Wait waits until the daemon has ended or the context is done, whose error it
// then returns. If the daemon is a child of this process, because this process
// adopts orphans, it is reaped.
func (p *Process) Wait(ctx context.Context) error {
	return waitHandle(ctx, p.handle)
}

// Kill ends the daemon at once with SIGKILL, waits until it is gone, and
// removes its PID file and record: it undoes the start. Of a daemon that has
// ended already it removes the files. It ends no process that the daemon has
// started. The context bounds the waiting, for the end of the daemon and for
// other starts with a PID file in the same directory.
func (p *Process) Kill(ctx context.Context) error { return p.kill(ctx) }

// Close releases the pidfd. The daemon goes on.
func (p *Process) Close() error { return p.handle.Close() }
