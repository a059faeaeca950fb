//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// inheritedDescriptors returns what this process was started with, number to
// target. They are those without close-on-exec: what the Go runtime and this
// program open has it, and what has come through an exec has not.
func inheritedDescriptors() (map[int]string, error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	descriptors := map[int]string{}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // closed since, or not inherited
		}
		descriptors[fd], err = os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
	}
	return descriptors, nil
}

// keepDescriptors keeps what detachtest has inherited, but for the first three,
// from all that it starts: what a probe is born with is to be the launcher's
// doing alone.
func keepDescriptors() error {
	inherited, err := inheritedDescriptors()
	if err != nil {
		return err
	}
	for fd := range inherited {
		if fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
