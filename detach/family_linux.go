package detach

import (
	"github.com/detachkit/detach/detach/internal/proc"
)

// sessions are the sessions that are a daemon's own: the one it was born in,
// which nobody else can join, and the one that it may have made since. Of a
// process from Find only the latter is: jobs of a shell that has ended are in
// one session, and strangers to each other.
//
// A session keeps its number while a process of it is left, dead and not
// reaped included. The leader that the number comes from, the intermediate of
// the double fork, has ended: if there is a process of that PID again, all of
// the session is gone and the number has been given to a stranger.
func (p *Process) sessions(list []proc.Process) []int {
	var own []int
	born := p.Record.Session
	bornIn := p.Record.Version > 0 && born > 0 && born != p.PID
	for _, q := range list {
		if p.is(q) && q.Session == q.PID {
			own = append(own, q.Session)
		}
		if q.PID == born {
			bornIn = false
		}
	}
	if bornIn {
		own = append(own, born)
	}
	return own
}

// is tells whether q is the daemon. It holds for as long as the daemon has not
// been reaped.
func (p *Process) is(q proc.Process) bool { return q.PID == p.PID && q.Start == p.Record.Start }

func isDead(q proc.Process) bool { return q.State == 'Z' || q.State == 'X' }

// members are the processes of the daemon's own sessions and of the cgroup that
// is its alone, itself included, zombies left out. Those of a process from Find
// are its descendants in the session that it is in.
func (p *Process) members(list []proc.Process) []proc.Process {
	return alive(p.sessionMembers(list))
}

// family are the members, and what descends from them: a program may put a
// child of its own into another session.
func (p *Process) family(list []proc.Process) []proc.Process {
	return alive(p.relatives(list))
}

func alive(list []proc.Process) []proc.Process {
	var living []proc.Process
	for _, q := range list {
		if !isDead(q) {
			living = append(living, q)
		}
	}
	return living
}

// sessionMembers are the members, zombies included.
func (p *Process) sessionMembers(list []proc.Process) []proc.Process {
	own := map[int]bool{}
	for _, s := range p.sessions(list) {
		own[s] = true
	}
	unit := p.Record.cgroupMembers()
	var members []proc.Process
	for _, q := range list {
		if p.is(q) || own[q.Session] || unit[q.PID] {
			members = append(members, q)
		}
	}
	if p.Record.Version == 0 {
		return below(members, list, func(q proc.Process) bool { return q.Session == p.Record.Session })
	}
	return members
}

// relatives are the family, zombies included.
func (p *Process) relatives(list []proc.Process) []proc.Process {
	return below(p.sessionMembers(list), list, func(proc.Process) bool { return true })
}

// below adds to some processes those that descend from them and are wanted.
func below(from, list []proc.Process, wanted func(proc.Process) bool) []proc.Process {
	children := map[int][]proc.Process{}
	for _, q := range list {
		children[q.Parent] = append(children[q.Parent], q)
	}
	all := from
	seen := map[int]bool{}
	for _, q := range all {
		seen[q.PID] = true
	}
	for i := 0; i < len(all); i++ {
		for _, q := range children[all[i].PID] {
			if !seen[q.PID] && wanted(q) {
				seen[q.PID] = true
				all = append(all, q)
			}
		}
	}
	return all
}
