package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// patience is for what takes milliseconds; a machine that needs longer is not
// one to measure on.
const patience = 30 * time.Second

// ours returns the PIDs of the processes that match; the folder is the
// bench's own, so no stranger does.
func ours(match func(pid string) bool) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && match(e.Name()) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// executes matches the processes that execute this file.
func executes(path string) func(pid string) bool {
	return func(pid string) bool {
		exe, err := os.Readlink(filepath.Join("/proc", pid, "exe"))
		return err == nil && exe == path
	}
}

// mentions matches the processes with a command line that names the folder:
// the programs started, and any launcher that is still there.
func mentions(dir string) func(pid string) bool {
	return func(pid string) bool {
		line, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		return err == nil && bytes.Contains(line, []byte(dir))
	}
}

// waitOurs waits until as many processes as wanted match, because most
// launchers return before the program runs.
func waitOurs(match func(pid string) bool, wanted int) ([]int, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		pids := ours(match)
		if len(pids) == wanted {
			return pids, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d processes %v, want %d", len(pids), pids, wanted)
		}
	}
}

// endOurs ends every process whose command line names the folder.
func endOurs(dir string) (err error) {
	for _, pid := range ours(mentions(dir)) {
		err = errors.Join(err, endIf(pid, mentions(dir)))
	}
	return err
}

// endIf ends a process if it still matches. The pidfd is opened before that is
// looked at, so that no other process is ended which has got the PID since.
func endIf(pid int, match func(pid string) bool) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	if !match(strconv.Itoa(pid)) {
		return unix.Close(pidfd)
	}
	return endPidfd(pidfd)
}

// endPidfd ends the process of a pidfd, waits for it and closes the pidfd.
func endPidfd(pidfd int) error {
	defer unix.Close(pidfd)
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}
