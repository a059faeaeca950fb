package detach

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
	"github.com/detachkit/detach/detach/internal/proc"
)

// verify looks at a new daemon from outside. The report is worth something
// only if the error is nil: otherwise the daemon was not seen, or not as it
// has to be.
// A unit is the one that it has to be in, if any.
func verify(d doublefork.Process, manager int, unit string) (Report, proc.Stat, error) {
	stat, err := readExeced(d.PID, d.PIDFD)
	if hasEnded(d.PIDFD) {
		return Report{}, stat, ErrExited
	}
	// It is alive now, so what was read before was about it.
	if err != nil {
		return Report{}, stat, fmt.Errorf("PID %d is hidden in /proc: %w", d.PID, err)
	}
	if unit != "" && stat.Parent == manager { // of a service that systemd has executed the caller is one as well
		manager = os.Getpid()
	}
	report := Report{Checks: []Check{
		checkExec(stat),
		checkSession(stat, manager),
		checkLeader(stat, d, unit),
		checkTerminal(stat, d),
		checkParent(stat, d, manager),
		{Name: "alive", OK: true, Got: "state " + string(stat.State), Want: "not ended"},
	}}
	if unit != "" {
		report.Checks = append(report.Checks, checkUnit(d.PID, unit))
	}
	if isManager(stat.Parent, manager) {
		report.Hazards = append(report.Hazards, reaperHazard(stat.Parent))
	}
	for _, c := range report.Checks {
		if !c.OK && !(c.Name == "parent" && len(report.Hazards) > 0) {
			return report, stat, fmt.Errorf("%w: %s: %s, want %s", ErrNotDetached, c.Name, c.Got, c.Want)
		}
	}
	return report, stat, nil
}

// execPatience is how long the kernel may take for the rest of an exec.
const execPatience = 10 * time.Second

// readExeced reads the state of the daemon once its exec is complete. The
// kernel wakes the parent of a vfork when the old memory is given up, and only
// then marks the process as executed (begin_new_exec in fs/exec.c): on a loaded
// machine it may be seen in between. From there on an exec does not fail any
// more, it could only end the process, and until it is through /proc tells no
// arguments to whoever has been told of the daemon. The double fork has waited for that too,
// but no longer than another fork may hold its pipe.
func readExeced(pid, pidfd int) (proc.Stat, error) {
	deadline := time.Now().Add(execPatience)
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		stat, err := proc.ReadStat(pid)
		if err != nil || !stat.Executing() || hasEnded(pidfd) || time.Now().After(deadline) {
			return stat, err
		}
		time.Sleep(pause)
	}
}

func checkExec(s proc.Stat) Check {
	got := "executed"
	if !s.Execed() {
		got = "forked, not executed"
	}
	return Check{Name: "exec", OK: s.Execed(), Got: got, Want: "executed"}
}

func checkSession(s proc.Stat, manager int) Check {
	own, _ := unix.Getsid(0)
	theirs, err := unix.Getsid(manager)
	if err != nil { // it has ended meanwhile
		theirs = own
	}
	return Check{
		Name: "session",
		OK:   s.Session != own && s.Session != theirs,
		Got:  strconv.Itoa(s.Session),
		Want: fmt.Sprintf("new, not the manager's %d", theirs),
	}
}

// A session leader can get a controlling terminal by opening one. A program
// may make a session of its own as soon as it runs; that is its own affair and
// tells nothing of how it was started.
func checkLeader(s proc.Stat, d doublefork.Process, unit string) Check {
	c := Check{Name: "leader", OK: d.PID != d.Intermediate, Got: "no session leader", Want: "no session leader"}
	switch {
	case unit != "" && s.Session == d.PID:
		c.Got = gotService
	case !c.OK:
		c.Got = "session leader"
	case s.Session == d.PID:
		c.Got = "session leader by its own setsid"
	}
	return c
}

// The terminal of a session that the program has made itself is its own affair
// as well.
func checkTerminal(s proc.Stat, d doublefork.Process) Check {
	c := Check{Name: "terminal", OK: s.TTY == 0 || s.Session == d.PID && d.PID != d.Intermediate, Got: "none", Want: "none"}
	if s.TTY != 0 {
		c.Got = fmt.Sprintf("device %d:%d", unix.Major(uint64(s.TTY)), unix.Minor(uint64(s.TTY)))
	}
	return c
}

// Orphans go to the nearest subreaper, not always to PID 1.
func checkParent(s proc.Stat, d doublefork.Process, manager int) Check {
	return Check{
		Name: "parent",
		OK:   !isManager(s.Parent, manager) && s.Parent != d.Intermediate,
		Got:  strconv.Itoa(s.Parent),
		Want: fmt.Sprintf("neither the manager %d nor the forker %d", manager, d.Intermediate),
	}
}

func isManager(pid, manager int) bool { return pid == manager || pid == os.Getpid() }

func reaperHazard(pid int) Hazard {
	if pid == 1 {
		return Hazard{
			Code:   HazardReaper,
			Text:   "the manager is PID 1 of its PID namespace: when it ends, the kernel kills everything in it",
			Remedy: "run an init as PID 1 of the container (docker run --init) and restart the manager below it",
		}
	}
	return Hazard{
		Code:   HazardReaper,
		Text:   fmt.Sprintf("the manager, PID %d, is a subreaper: the daemon stays in its process tree, and whoever walks and kills that tree kills the daemon", pid),
		Remedy: "start it from a process that is no subreaper (PR_SET_CHILD_SUBREAPER)",
	}
}
