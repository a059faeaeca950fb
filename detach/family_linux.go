package detach

import (
	"math"

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

// members are the processes of the daemon's own sessions, of the containers in
// them, and of the cgroup that is its alone, itself included, zombies left out.
// Those of a process from Find are its descendants in the session that it is in,
// and in containers.
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
	members := p.inSessions(list)
	known := pidSet(members)
	contained, unit := p.contained(list), p.Record.cgroupMembers()
	for _, q := range list {
		if !known[q.PID] && (contained[q.PID] || unit[q.PID]) {
			members = append(members, q)
		}
	}
	return members
}

// inSessions are those of the members that are in its sessions.
func (p *Process) inSessions(list []proc.Process) []proc.Process {
	own := map[int]bool{}
	for _, s := range p.sessions(list) {
		own[s] = true
	}
	var members []proc.Process
	for _, q := range list {
		if p.is(q) || own[q.Session] {
			members = append(members, q)
		}
	}
	if p.Record.Version == 0 {
		return below(members, byParent(list), func(q proc.Process) bool { return q.Session == p.Record.Session })
	}
	return members
}

// contained are the PIDs of those of the members that are in a container of the
// daemon and not in its session, which PID 1 of many containers leaves: what
// descends from it in a PID namespace below its own. Nothing comes out of there,
// unlike a daemon that a program has put into a session on purpose.
func (p *Process) contained(list []proc.Process) map[int]bool {
	members := p.inSessions(list)
	own, inside := pidSet(members), map[int]bool{}
	outside := 0 // how deep the daemon itself is, once that is asked
	for news := true; news; {
		news = false
		for _, q := range list {
			if own[q.PID] || inside[q.PID] || !own[q.Parent] && !inside[q.Parent] {
				continue
			}
			if outside == 0 {
				outside = outermost(members)
			}
			if namespaceDepth(q.PID) > outside {
				inside[q.PID], news = true, true
			}
		}
	}
	return inside
}

// outermost returns the least depth of some processes that can be told.
func outermost(list []proc.Process) int {
	least := math.MaxInt
	for _, q := range list {
		if depth := namespaceDepth(q.PID); depth > 0 {
			least = min(least, depth)
		}
	}
	return least
}

// namespaceDepth returns in how many PID namespaces that can be seen from here a
// process has a number; 0 if that cannot be told.
func namespaceDepth(pid int) int {
	status, err := proc.ReadStatus(procDir(pid))
	if err != nil {
		return 0
	}
	return len(status.NSpid)
}

func pidSet(list []proc.Process) map[int]bool {
	set := make(map[int]bool, len(list))
	for _, q := range list {
		set[q.PID] = true
	}
	return set
}

// relatives are the family, zombies included.
func (p *Process) relatives(list []proc.Process) []proc.Process {
	return below(p.sessionMembers(list), byParent(list), func(proc.Process) bool { return true })
}

func byParent(list []proc.Process) map[int][]proc.Process {
	children := map[int][]proc.Process{}
	for _, q := range list {
		children[q.Parent] = append(children[q.Parent], q)
	}
	return children
}

// below adds to some processes those that descend from them and are wanted.
func below(from []proc.Process, children map[int][]proc.Process, wanted func(proc.Process) bool) []proc.Process {
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
