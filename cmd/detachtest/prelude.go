//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// preludeWord, as the first argument, makes this program take the steps up to
// "--" and then become the command after it: a manager that finds itself where
// a death needs it, whoever wrote it.
const preludeWord = "__prelude"

// The steps of a prelude, each followed by what it is to be done to.
const (
	stepCgroup    = "cgroup="    // enter the cgroup in that folder
	stepSubreaper = "subreaper=" // adopt the orphans below
	stepLock      = "lock="      // open the file, lock it, and let it be inherited
	stepProc      = "proc="      // show the processes of this PID namespace at that path
)

// bePrelude does not return if all goes well.
//
// It runs on the main thread: the parent-death signal belongs to a thread, and
// only that of the main one outlives the exec.
func bePrelude(args []string) error {
	end := slices.Index(args, "--")
	if end < 0 || end+1 == len(args) {
		return errors.New("a prelude takes steps, --, and a command")
	}
	for _, step := range args[:end] {
		if err := take(step); err != nil {
			return fmt.Errorf("prelude: %w", err)
		}
	}
	command := args[end+1:]
	return &os.PathError{Op: "exec", Path: command[0], Err: unix.Exec(command[0], command, os.Environ())}
}

func take(step string) error {
	name, value, _ := strings.Cut(step, "=")
	switch name + "=" {
	case stepCgroup:
		// Entered by a write, since some kernels kill whatever is cloned into
		// a cgroup that once was killed.
		return os.WriteFile(filepath.Join(value, membersFile), []byte("0"), 0)
	case stepSubreaper:
		return becomeSubreaper()
	case stepLock:
		return holdLock(value)
	case stepProc:
		return mountProc(value)
	default:
		return fmt.Errorf("unknown step %q", step)
	}
}

// holdLock leaves the locked file open beyond the exec, as "exec 9>FILE" in a
// shell does, which is what a launcher then inherits.
func holdLock(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT, 0o600)
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return nil
}

// mountProc needs a mount namespace of this process's own, in which it first
// keeps all mounts from showing elsewhere.
func mountProc(path string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return &os.PathError{Op: "make private", Path: "/", Err: err}
	}
	if err := unix.Mount("proc", path, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return &os.PathError{Op: "mount", Path: path, Err: err}
	}
	// This right was for that alone.
	return os.NewSyscallError("prctl PR_CAP_AMBIENT_CLEAR_ALL", unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
}

// withPrelude returns the command line that takes the steps before it.
func withPrelude(self string, steps, command []string) []string {
	return slices.Concat([]string{self, preludeWord}, steps, []string{"--"}, command)
}
