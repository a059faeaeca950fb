package detach

import (
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/service"
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
	err := os.ErrProcessDone // of a daemon that had ended before it was found
	if handle != nil {
		err = control(handle, func(fd int) error { return unix.PidfdSendSignal(fd, number, nil, 0) })
	}
	if err == unix.ESRCH {
		err = os.ErrProcessDone
	}
	if err != nil {
		return &Error{Op: "signal", Path: sig.String(), Err: err}
	}
	return nil
}

// heldBy notes the connection by which it can be asked how the daemon ended.
func (p *Process) heldBy(m service.Manager) {
	if p != nil {
		p.held = m
	}
}

// wait lets the runtime's poller wait, on a descriptor of its own: the deadline
// by which the context ends it must not end another Wait.
func (p *Process) wait(ctx context.Context) (Exit, error) {
	if p.handle == nil {
		var managers managers
		defer managers.close()
		exit := p.Record.exitInUnit(ctx, &managers)
		exit.OOM = exit.OOM || p.Record.ranOut()
		return exit, nil
	}
	waiting, err := dupPIDFD(p.handle)
	if err != nil {
		return Exit{}, &Error{Op: "wait", Err: err}
	}
	defer waiting.Close()
	stop := context.AfterFunc(ctx, func() { _ = waiting.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := waiting.SyscallConn()
	if err != nil {
		return Exit{}, &Error{Op: "wait", Err: err}
	}
	keeper := p.keeper(ctx, waiting)
	defer keeper.close()
	err = conn.Read(func(fd uintptr) bool { return hasEnded(int(fd)) })
	ranOut := p.Record.ranOut() // before systemd removes the cgroup
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return Exit{}, ctx.Err()
	}
	if err != nil {
		return Exit{}, &Error{Op: "wait", Err: err}
	}
	var exit Exit
	err = control(waiting, func(fd int) error {
		if exit = keeper.exit(ctx); !exit.Known {
			exit = awaitExit(ctx, fd, p.Identity())
		}
		return nil
	})
	if err != nil {
		return Exit{}, &Error{Op: "wait", Err: err}
	}
	exit.OOM = exit.OOM || ranOut && (!exit.Known || exit.Signal == unix.SIGKILL)
	return exit, nil
}

// dupPIDFD returns a duplicate that the poller takes: not blocking. They share
// that flag, which says nothing to poll(2) and waitid(2) with WNOHANG.
func dupPIDFD(handle *os.File) (*os.File, error) {
	var dup *os.File
	err := control(handle, func(fd int) error {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		if err := unix.SetNonblock(n, true); err != nil {
			unix.Close(n)
			return err
		}
		dup = newHandle(n)
		return nil
	})
	return dup, err
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

func (p *Process) kill(ctx context.Context) error {
	again, err := p.supervisor(ctx)
	if err != nil {
		return &Error{Op: "kill", Path: strconv.Itoa(p.PID), Err: err}
	}
	defer again.close()
	if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if _, err := p.Wait(ctx); err != nil {
		return err
	}
	if err := again.callOff(ctx); err != nil {
		return &Error{Op: "kill", Path: strconv.Itoa(p.PID), Err: err}
	}
	p.Record.removeCgroup(ctx, 0)
	return removePIDFile(ctx, p.pidFile, p.Record)
}
