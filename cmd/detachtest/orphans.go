//go:build linux

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes detachtest the subreaper of all it starts, so that the
// processes which outlive their manager become its children: it learns what
// they died of, and finds at the end what launchers have left behind. The
// managers' own trees, which are what counts, do not change by it.
//
// The returned sweep kills and reaps them all. It cannot hit anything that
// detachtest has not started: where it has inherited children, from a program
// that exec'd it, it adopts nobody, and sweep does nothing.
func adoptOrphans() (sweep func() error, err error) {
	inherited, err := ownChildren()
	if err != nil {
		return nil, err
	}
	if len(inherited) > 0 {
		return func() error { return nil }, nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	return killChildren, nil
}

// killChildren kills and reaps the children, and theirs as they fall to
// detachtest, until there are none.
func killChildren() error {
	for {
		children, err := ownChildren()
		if err != nil {
			return err
		}
		if err := killAll(children); err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if err == unix.ECHILD {
				return nil
			}
			if err != nil && err != unix.EINTR {
				return os.NewSyscallError("wait4", err)
			}
			if pid == 0 {
				break // some are still alive
			}
		}
	}
}

func ownChildren() ([]stat, error) {
	self := os.Getpid()
	return processes(func(s stat) bool { return s.parent == self })
}
