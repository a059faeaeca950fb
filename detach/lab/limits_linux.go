package lab

import (
	"testing"

	"golang.org/x/sys/unix"
)

// NOFILE returns the RLIMIT_NOFILE of a process.
func NOFILE(t testing.TB, pid int) (soft, hard uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	return limit.Cur, limit.Max
}
