package doublefork

import (
	"errors"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
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

	intermediate, errno := spawn(m)
	runtime.KeepAlive(m)
	unix.Close(w)
	if errno != 0 {
		return Process{}, &Error{ForkIntermediate, errno}
	}
	reap(int(intermediate))

	p, err := readReport(m, r)
	if err == nil {
		p.Intermediate = int(intermediate)
		p.PIDFD, err = Above2(p.PIDFD)
	}
	if err != nil {
		if p.PIDFD >= 0 {
			Kill(p.PIDFD)
			unix.Close(p.PIDFD)
		}
		return Process{}, err
	}
	return p, nil
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

// readReport reads what the clones wrote. Both are through, so all of it is
// there, and nothing is waited for: another fork of this process may hold the
// write end open at this moment.
//
// With an error the pidfd, if there is one, is that of a process to be killed.
func readReport(m *image, pipe int) (Process, error) {
	// The kernel's own word, where memory is shared: it is there even when the
	// intermediate was killed before it could report.
	p := Process{PIDFD: int(m.pidfd)}
	var err error
	for r := (record{}); readRecord(pipe, &r); {
		switch r.kind {
		case failure:
			err = &Error{Step(r.a), syscall.Errno(r.b)}
		case started:
			p.PID, p.PIDFD = int(r.a), int(r.b)
		}
	}
	if err == nil && p.PID == 0 {
		err = ErrInterrupted
	}
	if err == nil && p.PIDFD < 0 { // clone(2) ignores CLONE_PIDFD before Linux 5.2
		_ = unix.Kill(p.PID, unix.SIGKILL)
		err = &Error{ForkDaemon, unix.ENOSYS}
	}
	return p, err
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
