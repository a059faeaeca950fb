package lab

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Held is a process that a test has started: what is done to it is done to no
// other one that has got its PID since.
type Held struct {
	PID   int
	pidfd int
}

// Hold takes hold of a process that runs, and ends it with the test.
func Hold(t testing.TB, pid int) *Held {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	h := &Held{PID: pid, pidfd: pidfd}
	t.Cleanup(func() {
		_ = h.Signal(unix.SIGKILL)
		h.AwaitEnd(t)
		_ = unix.Close(pidfd)
	})
	return h
}

// Signal sends a signal.
func (h *Held) Signal(sig unix.Signal) error {
	return unix.PidfdSendSignal(h.pidfd, sig, nil, 0)
}

// Alive tells whether the process has not ended, reaped or not.
func (h *Held) Alive() bool { return !h.ends(0) }

// AwaitEnd waits for the end of the process.
func (h *Held) AwaitEnd(t testing.TB) {
	t.Helper()
	if !h.ends(60_000) {
		t.Errorf("process %d has not ended within a minute", h.PID)
	}
}

func (h *Held) ends(milliseconds int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(h.pidfd), Events: unix.POLLIN}}, milliseconds)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// AwaitExec waits until execve(2) is through. It lets the caller of vfork(2) go
// on a moment before it has set up the new program: arguments, environment and
// signals cannot be told until then.
func AwaitExec(t testing.TB, pid int) {
	t.Helper()
	const environmentEnd = 51 // proc_pid_stat(5)
	Until(t, "the end of execve", func() bool {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		return err != nil || fields[environmentEnd-3] != "0" || !Alive(pid)
	})
}
