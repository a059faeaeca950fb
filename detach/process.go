package detach

import (
	"context"
	"os"

	"github.com/detachkit/detach/detach/internal/service"
)

// Process is a daemon that was started, or found again. It holds a pidfd, see
// pidfd_open(2), so whatever is done through it is done to that process, and
// to no other one that has got its PID since. Its methods may be called from
// several goroutines.
type Process struct {
	PID    int
	Record Record // what is known of it
	Report Report // what was seen at the start; empty after Open

	handle  *os.File        // the pidfd; nil of a daemon that has ended before it was found
	pidFile string          // as an absolute path where it could be told
	held    service.Manager // while Start has a connection to what holds it
	guessed bool            // by its PID alone: it may be another process

	identified bool // by FindIdentity
}

// Open finds the daemon that a PID file names, or the record beside it, such as
// after the manager was restarted. The error wraps fs.ErrNotExist if there is no such file, and
// ErrExited if the process it names has ended, even when its PID is in use
// again.
//
// A PID file without a Record (its writer was killed before it could write it,
// or was another program) is believed while its process is alive. The Record
// then has Version 0 and holds the identity of that process, which may be a
// stranger that has got the PID: Signal, Stop, Send and Kill refuse with
// ErrNoRecord.
func Open(pidfile string) (*Process, error) {
	return open(pidfile)
}

// OpenEnded finds a daemon that has ended by its PID file, or the record beside
// it: to see what it has left, see Status. It cannot be verified, and is signalled
// no more. The error wraps fs.ErrNotExist if there is no such file, and a
// *RunningError if the daemon runs.
func OpenEnded(pidfile string) (*Process, error) { return openEnded(pidfile) }

// Find returns the process that has this PID now, however it was started. Its
// Record has Version 0 and holds what /proc tells: identity, session, program,
// arguments, directory, and the files that are its standard input and output.
// The error wraps ErrExited if there is no such process, and a *ThreadError if
// the number is that of a thread.
func Find(pid int) (*Process, error) { return find(pid) }

// FindIdentity returns a process that was known before, with a Record as from
// Find. The error wraps ErrExited if it has ended, even when its PID is in use
// again.
func FindIdentity(id Identity) (*Process, error) { return findIdentity(id) }

// ReadRecord returns the record of the last daemon that a PID file named,
// whether it is alive or not. The error wraps fs.ErrNotExist if there is no
// such file, and ErrNoRecord if there is no record of the PID in it.
func ReadRecord(pidfile string) (Record, error) { return readRecord(pidfile) }

// Identity returns what identifies the daemon for ever.
func (p *Process) Identity() Identity { return p.Record.Identity }

// PIDFD returns the pidfd, or -1 after OpenEnded. It is readable once the daemon
// has ended, and is closed by Close.
func (p *Process) PIDFD() int { return int(p.handle.Fd()) }

// Signal sends a signal to the daemon. The error wraps os.ErrProcessDone if it
// has ended, os.ErrClosed after Close, and ErrNoRecord if it was found by a PID
// file alone.
func (p *Process) Signal(sig os.Signal) error {
	if p.guessed {
		return &Error{Op: "signal", Path: sig.String(), Err: ErrNoRecord}
	}
	return signalHandle(p.handle, sig)
}

// Wait waits until the daemon has ended or the context is done, whose error it
// then returns. It waits on the pidfd and polls nothing. If the daemon is a
// child of this process, because this process adopts orphans, it is reaped.
//
// How the daemon ended is known where the kernel tells it to others than the
// parent: since Linux 6.15 (PIDFD_INFO_EXIT in ioctl_pidfd(2)) for whoever
// found the daemon before it ended, before that while it is a zombie. Of a
// service systemd tells it, as long as it knows the unit.
func (p *Process) Wait(ctx context.Context) (Exit, error) { return p.wait(ctx) }

// Verify looks at the process from outside: whether each property of
// detachment holds, and what can still end it. It works on any process, however
// it was started, and checks what Start does and more; a Check or a Hazard that
// cannot be looked at for lack of permission says so.
func (p *Process) Verify() (Report, error) { return p.verify() }

// Send writes one line to the daemon's console. It returns when the daemon has
// read it, or the context is done: the error then wraps ErrNotRead and that of
// the context. It wraps ErrNoConsole if there is none, and ErrConsoleGone if its
// FIFO is not there any more. A line is at most 4,095 bytes, so that it is not
// mixed with that of another manager (PIPE_BUF in pipe(7)), and holds neither a
// newline nor a carriage return, which would make it two.
func (p *Process) Send(ctx context.Context, line string) error { return p.send(ctx, line) }

// Kill ends the daemon at once with SIGKILL, waits until it is gone, and
// removes its PID file and record: it undoes the start. Of a daemon that has
// ended already it removes the files. It ends no process that the daemon has
// started. The context bounds the waiting, for the end of the daemon and for
// other starts with a PID file in the same directory.
func (p *Process) Kill(ctx context.Context) error { return p.kill(ctx) }

// Close releases the pidfd. The daemon goes on.
func (p *Process) Close() error {
	if p.handle == nil {
		return nil
	}
	return p.handle.Close()
}
