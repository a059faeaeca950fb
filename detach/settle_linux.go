package detach

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// stopNotReady is how long a daemon has that is not ready, from SIGTERM to
// SIGKILL.
const stopNotReady = 10 * time.Second

// self is the identity of this process.
func self() *Identity {
	stat, err := proc.ReadStat(os.Getpid())
	if err != nil {
		return nil
	}
	boot, _ := proc.BootID()
	return &Identity{PID: os.Getpid(), Start: stat.Start, BootID: boot}
}

// settle ends the wait for a daemon: its record tells that it is ready, or it
// is stopped, or kept as it is.
func (p *Process) settle(file *pidFile, notReady error, keep bool) error {
	p.Record.Starter = nil
	if notReady == nil {
		p.Record.Readiness = ReadinessReached
		if err := file.rewrite(&p.Record); err != nil {
			return p.abort(err)
		}
		return nil
	}
	failed := &Error{Op: "start", Path: p.Record.Path, Err: notReady}
	if !keep {
		return p.abort(failed)
	}
	p.Record.Readiness = ReadinessFailed
	if err := file.rewrite(&p.Record); err != nil && !errors.Is(err, ErrExited) {
		return &Error{Op: "start", Path: p.Record.Path, Err: fmt.Errorf("%w, and: %w", notReady, err)}
	}
	return failed
}

// abort stops a daemon that must not stay, and returns why it must not.
func (p *Process) abort(reason error) error {
	_, err := p.stop(context.Background(), StopOptions{Signal: unix.SIGTERM, Timeout: stopNotReady, family: true})
	if err != nil {
		return &Error{Op: "stop", Path: strconv.Itoa(p.PID), Err: fmt.Errorf("%w, after: %w", err, reason)}
	}
	return reason
}
