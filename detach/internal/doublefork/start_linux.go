package doublefork

import (
	"errors"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// Process is a daemon that has been exec'd.
type Process struct {
	PID          int
	PIDFD        int // close-on-exec, above 2, the caller's to close
	Intermediate int // also the daemon's session and process group
}

// Error is a step that failed.
type Error struct {
	Step  Step
	Errno syscall.Errno
}

func (e *Error) Error() string { return e.Step.String() + ": " + e.Errno.Error() }
func (e *Error) Unwrap() error { return e.Errno }

// ErrInterrupted means that somebody killed the intermediate. What it had
// started by then has been killed too, but its PID file may be in place.
var ErrInterrupted = errors.New("killed while it started the program")

// Start forks twice. It returns an *Error when a step failed, and then no
// process is left and no PID file.
//
// Precondition: the descriptors in s are above 2 and stay open.
func Start(s *Spec) (Process, error) {
	m, err := newImage(s)
	if err != nil {
		return Process{}, err
	}
	r, w, err := newReportPipe()
	if err != nil {
		return Process{}, err
	}
	defer unix.Close(r)
	m.report = w
	ours, err := m.clearNotify()
	ours = append(ours, w)
	if err != nil {
		closeAll(ours)
		return Process{}, err
	}

	// Until it is known to have exec'd or died, the daemon may use the image.
	defer runtime.KeepAlive(m)
	intermediate, errno := spawn(m)
	closeAll(ours) // the pipe is to end with the clones
	if errno != 0 {
		return Process{}, &Error{ForkIntermediate, errno}
	}
	reap(int(intermediate))

	p, err := readReport(m, int(intermediate), r)
	if err == nil {
		awaitExec(r)
		p.PIDFD, err = Above2(p.PIDFD)
	}
	if err != nil {
		if p.PIDFD >= 0 {
			if Kill(p.PIDFD) != nil {
				abandon(m)
			}
			unix.Close(p.PIDFD)
		} else if err == ErrInterrupted && m.pidfd >= 0 {
			abandon(m) // there may be a daemon-to-be that cannot be seen
		}
		return Process{}, err
	}
	return p, nil
}

// abandoned are the images that a process which could not be killed may use
// for ever.
var (
	abandonedMutex sync.Mutex
	abandoned      []*image
)

func abandon(m *image) {
	abandonedMutex.Lock()
	defer abandonedMutex.Unlock()
	abandoned = append(abandoned, m)
}

// awaitExec waits for the end of the report pipe. The kernel wakes the parent
// of a vfork when the old memory is given up, and closes what is close-on-exec
// a little later: the manager's sockets are to be closed when Start returns.
// There is a bound, since another fork of this process, which is yet to exec,
// may hold the pipe as well.
func awaitExec(pipe int) {
	const patience = 100 // ms
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pipe)}}, patience) // POLLHUP needs no asking
		if err != unix.EINTR {
			return
		}
	}
}

// spawn is the frame above the one that the intermediate works in.
//
//go:noinline
//go:norace
func spawn(m *image) (pid uintptr, errno syscall.Errno) {
	pid, errno = forkIntermediate(m)
	runtimeAfterFork()
	return
}

// reap waits for the intermediate. ECHILD is no error: a wait4(-1, __WALL)
// elsewhere in this process has been quicker.
func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != unix.EINTR {
			return
		}
	}
}

// readReport reads what the clones wrote. Nothing is waited for: what the
// intermediate wrote is there, and another fork of this process may hold the
// write end open at this moment.
//
// With an error the pidfd, if there is one, is that of a process to be killed.
func readReport(m *image, intermediate, pipe int) (Process, error) {
	p := Process{Intermediate: intermediate, PIDFD: -1}
	var err error
	for r := (record{}); readRecord(pipe, &r); {
		switch r.kind {
		case failure:
			err = &Error{Step(r.a), syscall.Errno(r.b)}
		case started:
			p.PID, p.PIDFD = int(r.a), int(r.b)
		}
	}
	switch {
	case err != nil:
	case p.PID == 0:
		// Somebody killed the intermediate before it could report. Where memory
		// is shared the kernel's own word is there, if it is not stale.
		if fd := int(m.pidfd); isMember(fd, intermediate) {
			p.PIDFD = fd
		}
		err = ErrInterrupted
	case p.PIDFD < 0: // clone(2) ignores CLONE_PIDFD before Linux 5.2
		_ = unix.Kill(p.PID, unix.SIGKILL)
		err = &Error{ForkDaemon, unix.ENOSYS}
	}
	return p, err
}

// isMember tells whether fd is a pidfd of a process in the session, which
// nobody but the daemon can be: a clone that was interrupted may leave the
// number of a descriptor that is somebody else's by now.
func isMember(fd, session int) bool {
	pid, err := proc.PIDOf(fd)
	if err != nil {
		return false
	}
	stat, err := proc.ReadStat(pid)
	return err == nil && stat.Session == session
}

// Kill ends the process of a pidfd and returns when it is gone, or cannot be
// signalled.
func Kill(pidfd int) error {
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil {
		return err
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return err
		}
	}
}
