//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// own returns the living processes that detachtest has started, as far as this
// stage may have to do with them: no death that looks for its victims by what
// they have, such as a cookie or an open file, goes beyond these.
//
// They are the manager's and the probe's and what is below these; where
// detachtest has adopted all orphans that may have come of them, they are its
// own descendants too.
func (s *stage) own() ([]stat, error) {
	var roots []identity
	var own []stat
	for _, p := range []*process{s.leader, s.manager, s.probe} {
		if p == nil || slices.Contains(roots, p.identity) {
			continue
		}
		// A dead one's PID may be another's by now.
		now, err := readStat(p.pid)
		if err == nil && now.identity == p.identity && !now.zombie() {
			roots = append(roots, p.identity)
			own = append(own, now)
		}
	}
	adopting, err := adopts()
	if err != nil {
		return nil, err
	}
	if adopting {
		self, err := readStat(os.Getpid())
		if err != nil {
			return nil, err
		}
		roots = append(roots, self.identity)
	}
	below, err := descendantsOf(roots...)
	return append(own, below...), err
}

// adopts tells whether the orphans of all that detachtest starts become its
// children. See adoptOrphans.
func adopts() (bool, error) {
	var is int32
	err := prctlGet(unix.PR_GET_CHILD_SUBREAPER, &is)
	return is != 0, err
}

// environ returns the environment that a process was executed with, as those
// see it who look for cookies: what it has changed since does not show. It is
// empty where it cannot be read.
func environ(pid int) map[string]string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	variables := map[string]string{}
	for _, line := range bytes.Split(data, []byte{0}) {
		if name, value, ok := bytes.Cut(line, []byte{'='}); ok {
			variables[string(name)] = string(value)
		}
	}
	return variables
}

// hasOpen tells whether a process has a file open.
func hasOpen(pid int, file *unix.Stat_t) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir) // empty if the process has ended
	for _, e := range entries {
		var open unix.Stat_t
		err := unix.Stat(filepath.Join(dir, e.Name()), &open)
		if err == nil && open.Dev == file.Dev && open.Ino == file.Ino {
			return true
		}
	}
	return false
}
