//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// enter makes the folder base the place of the tester's files, and the tester
// the one that adopts what it starts. The returned leave ends and removes it
// all.
func enter(base string) (leave func() error, err error) {
	alive, err := lockAlive(filepath.Join(base, aliveFile))
	if err != nil {
		return nil, err
	}
	sweep, err := adoptOrphans()
	if err != nil {
		_ = alive.Close()
		return nil, err
	}
	return func() error {
		return errors.Join(sweep(), alive.Close(), os.RemoveAll(base))
	}, nil
}

// lockAlive makes the file by which probes see that detachtest still lives.
func lockAlive(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return file, nil
}

// adoptOrphans makes this process the subreaper of all it starts, so that the
// processes which outlive their manager become its children: it learns what
// they died of, and finds at the end what launchers have left behind. The
// managers' own trees, which are what counts, do not change by it.
//
// The returned sweep kills and reaps them all. It cannot hit anything that was
// not started here: where this process has inherited children, from a program
// that exec'd it, it adopts nobody, and sweep does nothing.
func adoptOrphans() (sweep func() error, err error) {
	inherited, err := ownChildren()
	if err != nil {
		return nil, err
	}
	if len(inherited) > 0 {
		return func() error { return nil }, nil
	}
	return killChildren, becomeSubreaper()
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
