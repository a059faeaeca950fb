package detach

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// A daemon that has ended may have left processes behind in its session: the
// server of a wrapper script that died first. They are known by the number of
// the session, which may have been used again since.

// ours tells whether all that a look has shown in the daemon's sessions is
// known to be the daemon's: because it is there itself, because the number of
// the session it was born in cannot have been used again, or because one of
// the processes has what only they can have.
func (p *Process) ours(list []proc.Process) bool {
	born := p.Record.Session
	for _, q := range list {
		if p.is(q) && (q.Session == born || q.Session == q.PID) {
			return true
		}
	}
	if p.Record.Version == 0 || !p.sameBoot() {
		return false
	}
	if !p.bornInGroup() { // then the number of a session counts for nothing, and what is left is in its cgroup
		return true
	}
	return p.neverUsedAgain() || slices.ContainsFunc(p.members(list), p.leftBehind)
}

// sameBoot tells whether the daemon is known to be of this boot.
func (p *Process) sameBoot() bool {
	boot, err := proc.BootID()
	return err == nil && boot != "" && p.Record.BootID == boot
}

// neverUsedAgain tells whether no PID that was in use when the daemon was
// started can have been given out again. The kernel gives them out in turn, so
// it first has to give out all others that are free; a quarter of all numbers
// is safely less than that.
func (p *Process) neverUsedAgain() bool {
	then := p.Record.Forks
	now, err := proc.Forks()
	if err != nil || then == 0 || now < then {
		return false
	}
	most, err := proc.PIDMax()
	return err == nil && now-then < most/4
}

// leftBehind tells whether a process in a session of the daemon's number is the
// daemon's by its directory or one of its files.
func (p *Process) leftBehind(q proc.Process) bool {
	r := p.Record
	if q.Start < r.Start {
		return false
	}
	dir := "/proc/" + strconv.Itoa(q.PID)
	if cwd, err := os.Readlink(dir + "/cwd"); err == nil && cwd == r.Dir && cwd != "/" {
		return true
	}
	for fd, path := range []string{cmp.Or(r.Console, r.Stdin), r.Stdout, r.Stderr} {
		if link, err := os.Readlink(filepath.Join(dir, "fd", strconv.Itoa(fd))); err == nil && link == path && path != os.DevNull {
			return true
		}
	}
	return false
}

// bornInGroup tells whether the daemon was born in the process group of its
// session's number, which is then its own.
func (p *Process) bornInGroup() bool {
	born := p.Record.Session
	return p.Record.Version > 0 && born > 0 && born != p.PID
}

// groupLives tells whether there is somebody in that group although a look has
// shown nobody alive: one that forks and ends faster than it is looked at. For
// kill(2) a zombie is somebody, so those that were there before, which known
// keeps, explain what it says, and new ones do not.
func (p *Process) groupLives(list []proc.Process, known map[int]bool) bool {
	born := p.Record.Session
	if !p.bornInGroup() || unix.Kill(-born, 0) == unix.ESRCH {
		return false
	}
	zombies, news := false, false
	for _, q := range list {
		if q.Group == born {
			zombies, news = true, news || !known[q.PID]
			known[q.PID] = true
		}
	}
	return news || !zombies
}

// findLeft returns the PIDs of what an ended daemon has left in its session.
func findLeft(r Record) ([]int, error) {
	p := &Process{PID: r.PID, Record: r}
	if !p.sameBoot() {
		return nil, nil
	}
	list, err := looks.take()
	if err != nil {
		return nil, err
	}
	remains, _ := p.remains(list)
	return pidsOf(remains), nil
}

func pidsOf(list []proc.Process) []int {
	pids := make([]int, len(list))
	for i, q := range list {
		pids[i] = q.PID
	}
	slices.Sort(pids)
	return pids
}

// forks is proc.Forks, 0 where the kernel does not tell.
func forks() uint64 {
	n, err := proc.Forks()
	if err != nil {
		return 0
	}
	return n
}
