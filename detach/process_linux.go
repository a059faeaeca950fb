package detach

import (
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
)

func newHandle(pidfd int) *os.File {
	return os.NewFile(uintptr(pidfd), "pidfd")
}

// control runs f on the descriptor, which cannot be closed meanwhile.
func control(handle *os.File, f func(fd int) error) error {
	conn, err := handle.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if conn.Control(func(fd uintptr) { result = f(int(fd)) }) != nil {
		return os.ErrClosed // the only reason, but not what package os calls it here
	}
	return result
}

func signalHandle(handle *os.File, sig os.Signal) error {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return &Error{Op: "signal", Path: sig.String(), Err: unix.EINVAL}
	}
	err := control(handle, func(fd int) error { return unix.PidfdSendSignal(fd, number, nil, 0) })
	if err == unix.ESRCH {
		err = os.ErrProcessDone
	}
	if err != nil {
		return &Error{Op: "signal", Path: sig.String(), Err: err}
	}
	return nil
}

// waitHandle lets the runtime's poller wait, on a descriptor of its own: the
// deadline by which the context ends it must not end another Wait.
func waitHandle(ctx context.Context, handle *os.File) error {
	var waiting *os.File
	err := control(handle, func(fd int) error {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		if err := unix.SetNonblock(dup, true); err != nil { // else the poller does not take it
			unix.Close(dup)
			return err
		}
		waiting = newHandle(dup)
		return nil
	})
	if err != nil {
		return &Error{Op: "wait", Err: err}
	}
	defer waiting.Close()
	stop := context.AfterFunc(ctx, func() { _ = waiting.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := waiting.SyscallConn()
	if err != nil {
		return &Error{Op: "wait", Err: err}
	}
	err = conn.Read(func(fd uintptr) bool { return hasEnded(int(fd)) })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	if err != nil {
		return &Error{Op: "wait", Err: err}
	}
	return nil
}

// hasEnded tells whether the process of a pidfd has ended, reaped or not. A
// process whose first thread has ended while others go on has not.
func hasEnded(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

func (p *Process) kill() error {
	err := control(p.handle, doublefork.Kill)
	if err != nil && err != unix.ESRCH {
		return &Error{Op: "kill", Path: strconv.Itoa(p.PID), Err: err}
	}
	return removePIDFile(p.Record)
}
