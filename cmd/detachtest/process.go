//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// An identity tells a process from all others of this boot. A PID alone does
// not: it is given out again.
type identity struct {
	pid   int
	start uint64 // clock ticks since boot
}

// A process is a hold on one process, whoever its parent is. It cannot come to
// mean another one.
type process struct {
	identity
	pidfd int
	// ended is closed when the process is dead, reaped or not; at then says
	// since when.
	ended chan struct{}
	at    time.Time
}

// hold takes hold of a process. The pidfd is opened before the identity is
// checked, so there is no moment in which the PID could change its meaning.
func hold(id identity) (*process, error) {
	pidfd, err := unix.PidfdOpen(id.pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open pidfd of process %d: %w", id.pid, err)
	}
	s, err := readStat(id.pid)
	if err == nil && s.identity != id {
		err = unix.ESRCH
	}
	if err != nil {
		_ = unix.Close(pidfd)
		return nil, fmt.Errorf("identify process %d: %w", id.pid, err)
	}
	return holdPidfd(id, pidfd), nil
}

// holdPidfd takes hold of the process that pidfd, which it now owns, is known
// to mean.
func holdPidfd(id identity, pidfd int) *process {
	p := &process{identity: id, pidfd: pidfd, ended: make(chan struct{})}
	go func() {
		poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		for poll[0].Revents == 0 {
			_, _ = unix.Poll(poll, -1)
		}
		if poll[0].Revents&unix.POLLNVAL != 0 {
			panic("a pidfd was closed by somebody else")
		}
		p.at = time.Now()
		close(p.ended)
	}()
	return p
}

// signal sends a signal. To signal a dead process is no error.
func (p *process) signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(p.pidfd, sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(sig), p.pid, err)
	}
	return nil
}

func (p *process) dead() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// reap takes the status of a dead process. It is known only where detachtest
// is its parent by now.
func (p *process) reap() (status unix.WaitStatus, known bool) {
	// Asking by pidfd first makes sure that the PID, next, means this one.
	if err := unix.Waitid(unix.P_PIDFD, p.pidfd, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		return 0, false
	}
	pid, err := unix.Wait4(p.pid, &status, unix.WNOHANG, nil)
	return status, err == nil && pid == p.pid
}

// posthumous returns the status of a dead process that was another's child,
// which the kernel keeps for whoever holds a pidfd, since Linux 6.15. It is
// known when the parent has reaped the process, which it may never do.
func (p *process) posthumous() (status unix.WaitStatus, known bool) {
	info := unix.PidfdInfo{}
	for deadline := time.Now().Add(burialTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		info.Mask = unix.PIDFD_INFO_EXIT
		err := unix.IoctlPidfdInfo(p.pidfd, &info)
		if err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return unix.WaitStatus(info.Exit_code), true
		}
		if err != nil && err != unix.ESRCH {
			break // an older kernel
		}
	}
	return 0, false
}

// burialTimeout is how long a parent is given to reap its child.
const burialTimeout = time.Second

// fate says in words how a dead process ended. It leaves it to be reaped.
func (p *process) fate() string {
	status, known := zombieStatus(p.identity)
	if !known {
		status, known = p.posthumous()
	}
	switch {
	case !known:
		return "ended"
	case status.Signaled():
		return "was killed by " + unix.SignalName(status.Signal())
	default:
		return fmt.Sprintf("exited with status %d", status.ExitStatus())
	}
}

// kill makes sure that the process is dead.
func (p *process) kill() error {
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	return p.awaitKill()
}

// awaitKill waits for the end of a process that got SIGKILL.
func (p *process) awaitKill() error {
	select {
	case <-p.ended:
		return nil
	case <-time.After(killTimeout):
		return fmt.Errorf("kill process %d: still there after %v", p.pid, killTimeout)
	}
}

// killTimeout is how long the kernel is given to end a process that got
// SIGKILL. One that is stuck in a system call stays, whatever is done.
const killTimeout = 10 * time.Second

// release lets go of a process. The pidfd of a living one stays open: it is
// being watched.
func (p *process) release() {
	if p.dead() {
		_ = unix.Close(p.pidfd)
	}
}

// killAll kills processes by identity, all of them before it waits for the
// first, not minding those that have ended since they were listed.
func killAll(list []stat) error {
	var errs []error
	var held []*process
	for _, s := range list {
		if p, err := hold(s.identity); err == nil {
			held = append(held, p)
			errs = append(errs, p.signal(unix.SIGKILL))
		}
	}
	for _, p := range held {
		errs = append(errs, p.awaitKill())
		p.release()
	}
	return errors.Join(errs...)
}
