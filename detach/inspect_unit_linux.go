package detach

import (
	"bytes"
	"slices"
	"strings"

	"github.com/detachkit/detach/detach/internal/proc"
)

// maxCgroup bounds /proc/PID/cgroup: a line for each hierarchy, of which there
// are about a dozen.
const maxCgroup = 256 << 10

// unitOf returns the path of the cgroup that systemd has made for a service or
// a scope, from the content of /proc/PID/cgroup (cgroups(7)); empty if there is
// none. The innermost counts: below that the unit may have cgroups of its own.
func unitOf(content []byte) string {
	var unit string
	for line := range bytes.Lines(content) {
		fields := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(fields) < 3 {
			continue
		}
		// On a machine with both, systemd's own hierarchy is version 1.
		switch named := fields[1] == "name=systemd"; {
		case named, fields[0] == "0" && fields[1] == "" && unit == "":
			if found := unitPath(strings.TrimSuffix(fields[2], " (deleted)")); found != "" {
				unit = found
			}
		}
	}
	return unit
}

func unitPath(path string) string {
	for path != "" {
		dir, last := path[:strings.LastIndexByte(path, '/')+1], path[strings.LastIndexByte(path, '/')+1:]
		if strings.HasSuffix(last, ".service") || strings.HasSuffix(last, ".scope") {
			if last == "init.scope" { // that of systemd itself
				return ""
			}
			return path
		}
		path = strings.TrimRight(dir, "/")
	}
	return ""
}

// unitName is the name of a unit as systemctl takes it. Where it would be taken
// for a file of the kernel, the cgroup has an underscore before it.
func unitName(path string) string {
	return strings.TrimPrefix(path[strings.LastIndexByte(path, '/')+1:], "_")
}

// own are the processes that are the daemon's own: its descendants, and who
// else is in its session if nobody else has made that.
func (in *inspection) isOwn(pid int) bool {
	if pid == in.pid || in.descendants[pid] {
		return true
	}
	q, ok := in.byPID[pid]
	return ok && q.Session == in.stat.Session && in.ownSession
}

// unitSharers are the processes in the same unit that are not the daemon's own.
func (in *inspection) unitSharers() []int {
	if in.unit == "" || in.service {
		return nil
	}
	return in.inUnit(func(q proc.Process) bool { return !in.isOwn(q.PID) })
}

func (in *inspection) inUnit(counts func(proc.Process) bool) []int {
	var pids []int
	for pid, q := range in.byPID {
		if pid == in.pid || q.State == 'Z' || q.Flags&forkedByKernel != 0 || !counts(q) {
			continue
		}
		if cgroup, err := proc.Read(procDir(pid)+"/cgroup", maxCgroup); err == nil && unitOf(cgroup) == in.unit {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// isService tells whether the process is what a service of systemd consists
// of: systemd has executed it. An orphan of such a process looks alike, but
// has the variable of another process, or is not the eldest of the unit.
func (in *inspection) isService() bool {
	if in.record.Unit != "" && unitName(in.unit) == in.record.Unit {
		return true
	}
	if !strings.HasSuffix(in.unit, ".service") || in.stat.Session != in.pid {
		return false
	}
	if parent := in.stat.Parent; parent != 1 && (commOf(parent) != "systemd" || !in.isInit(parent)) {
		return false
	}
	if value, ok := lookupEnv(in.environ, "SYSTEMD_EXEC_PID"); ok {
		return value == in.pidHere()
	}
	return len(in.inUnit(func(q proc.Process) bool { return q.Start < in.stat.Start })) == 0
}
