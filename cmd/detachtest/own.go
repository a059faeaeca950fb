//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

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
	all, err := processes(func(stat) bool { return true })
	if err != nil {
		return nil, err
	}
	roots := map[int]bool{}
	for _, p := range []*process{s.leader, s.manager, s.probe} {
		// A dead one's PID may be another's by now.
		if p != nil && !p.dead() {
			roots[p.pid] = true
		}
	}
	adopting, err := adopts()
	if err != nil {
		return nil, err
	}
	self := os.Getpid()
	parents := map[int]int{}
	for _, p := range all {
		parents[p.pid] = p.parent
	}
	isOwn := func(pid int) bool {
		for ; pid > 1 && pid != self; pid = parents[pid] {
			if roots[pid] {
				return true
			}
		}
		return adopting && pid == self
	}
	var own []stat
	for _, p := range all {
		if p.pid != self && isOwn(p.pid) {
			own = append(own, p)
		}
	}
	return own, nil
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
