package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Status is /proc/PID/status, field name to value: the oracle. See proc(5).
type Status map[string]string

// ReadStatus reads the status of a process; ok is false where there is none.
func ReadStatus(pid int) (Status, bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, false
	}
	s := Status{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		s[key] = strings.TrimSpace(value)
	}
	return s, true
}

// Int returns a field as a number: PPid, NSsid, NSpgid, ...
func (s Status) Int(t testing.TB, field string) int {
	t.Helper()
	n, err := strconv.Atoi(s[field])
	if err != nil {
		t.Fatalf("/proc status %s: %v", field, err)
	}
	return n
}

// Zombie tells whether the process is dead and not reaped.
func (s Status) Zombie() bool { return strings.HasPrefix(s["State"], "Z") }

// Alive tells whether pid is a process that still runs.
func Alive(pid int) bool {
	s, ok := ReadStatus(pid)
	return ok && !s.Zombie()
}

// Descriptors returns what a process has open: number to target.
func Descriptors(t testing.TB, pid int) map[int]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	fds := map[int]string{}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		// The descriptor of a listing of our own is gone by now.
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			fds[n] = target
		}
	}
	return fds
}

// Until waits for a condition that nothing announces, such as the end of a
// process that is nobody's child. It gives up only after so long that the
// machine cannot be the reason.
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for pause := time.Millisecond; !condition(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for: %s", what)
		}
		time.Sleep(pause)
	}
}
