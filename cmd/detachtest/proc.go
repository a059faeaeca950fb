//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A stat is what /proc/PID/stat says of a process. See proc_pid_stat(5).
type stat struct {
	identity
	name     string // of the executable, cut off at 15 bytes
	state    byte
	parent   int
	group    int // process group
	session  int
	terminal int // device number of the controlling terminal, 0 for none
}

func (s stat) zombie() bool { return s.state == 'Z' || s.state == 'X' }

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(data)
}

// parseStat parses a line of /proc/PID/stat. The command in it stands in
// parentheses and may itself hold spaces and parentheses, so the fields are
// counted from the last one.
func parseStat(line []byte) (stat, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("parse stat %q: no command in parentheses", line)
	}
	// proc_pid_stat(5) numbers the fields: this is number 3, the state.
	fields := strings.Fields(string(line[end+1:]))
	field := func(number int) string { return fields[number-3] }
	const startTime = 22
	if len(fields) <= startTime-3 {
		return stat{}, fmt.Errorf("parse stat %q: too few fields", line)
	}
	s := stat{name: string(line[open+1 : end]), state: field(3)[0]}
	var errs [6]error
	s.pid, errs[0] = strconv.Atoi(strings.TrimSpace(string(line[:open])))
	s.parent, errs[1] = strconv.Atoi(field(4))
	s.group, errs[2] = strconv.Atoi(field(5))
	s.session, errs[3] = strconv.Atoi(field(6))
	s.terminal, errs[4] = strconv.Atoi(field(7))
	s.start, errs[5] = strconv.ParseUint(field(startTime), 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return stat{}, fmt.Errorf("parse stat %q: %w", line, err)
	}
	return s, nil
}

// zombieStatus returns what a process that nobody has reaped has ended with.
func zombieStatus(id identity) (status unix.WaitStatus, known bool) {
	const exitCode = 52 // field of /proc/PID/stat
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id.pid))
	if err != nil {
		return 0, false
	}
	s, err := parseStat(line)
	if err != nil || s.identity != id || !s.zombie() {
		return 0, false
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:])) // from the third on
	if len(fields) <= exitCode-3 {
		return 0, false
	}
	code, err := strconv.Atoi(fields[exitCode-3])
	return unix.WaitStatus(code), err == nil
}

// processes returns the processes that match, zombies left out: they are dead,
// only not buried.
func processes(match func(stat) bool) ([]stat, error) {
	return processesAndZombies(func(s stat) bool { return !s.zombie() && match(s) })
}

func processesAndZombies(match func(stat) bool) ([]stat, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []stat
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		s, err := readStat(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // ended since
		}
		if err != nil {
			return nil, err
		}
		if match(s) {
			found = append(found, s)
		}
	}
	return found, nil
}

// descendants returns the processes below root, found by parent PID alone, as
// supervisors find them.
//
// Precondition: root is alive or not reaped, so that its PID means nobody else.
func descendants(root int) ([]stat, error) {
	s, err := readStat(root)
	if err != nil {
		return nil, err
	}
	return descendantsOf(s.identity)
}

// descendantsOf returns the processes below any of the roots, parents first,
// and none of the roots themselves.
func descendantsOf(roots ...identity) ([]stat, error) {
	for {
		all, err := processes(func(stat) bool { return true })
		if err != nil {
			return nil, err
		}
		found, moved := belowIn(all, roots)
		if len(found) > 0 || !moved {
			return found, nil
		}
	}
}

// belowIn finds them in a list of all processes. It takes a while to make such
// a list, in which a process may end and leave its PID to a stranger, whose
// children would be taken for its own. So each process is asked for its parent
// once more, and then that parent whether it is still who it was. moved tells
// that somebody was left out whose parent has ended meanwhile.
func belowIn(all []stat, roots []identity) (found []stat, moved bool) {
	children := map[int][]stat{}
	for _, s := range all {
		children[s.parent] = append(children[s.parent], s)
	}
	for parents := slices.Clone(roots); len(parents) > 0; parents = parents[1:] {
		for _, s := range children[parents[0].pid] {
			now, err := readStat(s.pid)
			switch {
			case slices.Contains(roots, s.identity):
			case err != nil || now.identity != s.identity || now.zombie(): // it has ended
			case now.parent != s.parent || !parents[0].exists():
				moved = true
			default:
				found = append(found, s)
				parents = append(parents, s.identity)
			}
		}
	}
	return found, moved
}

// exists tells whether the process is still there, be it dead and not buried.
func (id identity) exists() bool {
	s, err := readStat(id.pid)
	return err == nil && s.identity == id
}

// parseFields parses lines "Name: value", such as /proc/PID/status has.
func parseFields(lines string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}
