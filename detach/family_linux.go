package detach

import (
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// sessions are the sessions that are a daemon's own: the one it was born in,
// which nobody else can join, and the one that it may have made since. A
// process from Find may be in a session of somebody else, which is then not
// among them.
//
// A session keeps its number while a process of it is left, dead and not
// reaped included. The leader that the number comes from, the intermediate of
// the double fork, has ended: if there is a process of that PID again, all of
// the session is gone and the number has been given to a stranger.
func (p *Process) sessions(list []proc.Process) []int {
	var own []int
	leaderOf := func(session int) *proc.Process {
		for i := range list {
			if list[i].PID == session {
				return &list[i]
			}
		}
		return nil
	}
	for i := range list {
		if q := &list[i]; p.is(*q) && q.Session == q.PID {
			own = append(own, q.Session)
		}
	}
	// The caller may be in the session of a process from Find.
	caller, _ := unix.Getsid(0)
	if s := p.Record.Session; s > 0 && s != p.PID && leaderOf(s) == nil && (p.Record.Version > 0 || s != caller) {
		own = append(own, s)
	}
	return own
}

// is tells whether q is the daemon. It holds for as long as the daemon has not
// been reaped.
func (p *Process) is(q proc.Process) bool { return q.PID == p.PID && q.Start == p.Record.Start }

// members are the processes of the daemon's own sessions and of the cgroup that
// is its alone, itself included, zombies left out.
func (p *Process) members(list []proc.Process) []proc.Process {
	own := map[int]bool{}
	for _, s := range p.sessions(list) {
		own[s] = true
	}
	unit := p.Record.cgroupMembers()
	var members []proc.Process
	for _, q := range list {
		if (p.is(q) || own[q.Session] || unit[q.PID]) && q.State != 'Z' && q.State != 'X' {
			members = append(members, q)
		}
	}
	return members
}

// family are the members, and what descends from them: a program may put a
// child of its own into another session.
func (p *Process) family(list []proc.Process) []proc.Process {
	children := map[int][]proc.Process{}
	for _, q := range list {
		children[q.Parent] = append(children[q.Parent], q)
	}
	family := p.members(list)
	seen := map[int]bool{}
	for _, q := range family {
		seen[q.PID] = true
	}
	for i := 0; i < len(family); i++ {
		for _, q := range children[family[i].PID] {
			if !seen[q.PID] && q.State != 'Z' && q.State != 'X' {
				seen[q.PID] = true
				family = append(family, q)
			}
		}
	}
	return family
}
