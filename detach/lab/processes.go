package lab

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// WithArgument returns the processes, zombies left out, that have an argument
// equal to mark: the daemons of one test find each other by it.
func WithArgument(t testing.TB, mark string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		for arg := range bytes.SplitSeq(cmdline, []byte{0}) {
			if string(arg) == mark {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// KillMarked ends the processes that have an argument equal to mark, at the end
// of the test.
func KillMarked(t testing.TB, mark string) {
	t.Cleanup(func() {
		for _, pid := range WithArgument(t, mark) {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	})
}

var marks atomic.Int64

// Mark returns a number of seconds for sleep(1), about a quarter of an hour,
// that no other process has as an argument.
func Mark() string {
	return fmt.Sprintf("1000.%d0%d", os.Getpid(), marks.Add(1))
}
