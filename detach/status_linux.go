package detach

import (
	"context"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

func survey(ps []*Process) ([]Status, error) {
	list, err := proc.List()
	if err != nil {
		return nil, &Error{Op: "status", Path: "/proc", Err: err}
	}
	look := newLook(list)
	var managers managers
	defer managers.close()
	statuses := make([]Status, len(ps))
	for i, p := range ps {
		statuses[i] = look.status(p)
		if s := statuses[i].State; s == Dead || s == Absent {
			if exit := p.Record.exitInUnit(context.Background(), &managers); exit.Known {
				statuses[i].Exit = &exit
			}
		}
	}
	return statuses, nil
}

// look is one look at /proc, arranged so that many daemons are found in it.
type look struct {
	byPID     map[int]proc.Process
	bySession map[int][]proc.Process
	byParent  map[int][]proc.Process
}

func newLook(list []proc.Process) look {
	l := look{map[int]proc.Process{}, map[int][]proc.Process{}, map[int][]proc.Process{}}
	for _, q := range list {
		l.byPID[q.PID] = q
		l.bySession[q.Session] = append(l.bySession[q.Session], q)
		l.byParent[q.Parent] = append(l.byParent[q.Parent], q)
	}
	return l
}

// around returns the processes among which those of a daemon are.
func (l look) around(p *Process) []proc.Process {
	var list []proc.Process
	self, ok := l.byPID[p.PID]
	if leader, ok := l.byPID[p.Record.Session]; ok && leader.Session != p.Record.Session {
		list = append(list, leader) // the number has been given to a stranger
	}
	list = append(list, l.bySession[p.Record.Session]...)
	if ok && self.Session != p.Record.Session {
		list = append(list, l.bySession[self.Session]...)
	}
	for pid := range p.Record.cgroupMembers() {
		if q, ok := l.byPID[pid]; ok && !slices.ContainsFunc(list, func(r proc.Process) bool { return r.PID == pid }) {
			list = append(list, q)
		}
	}
	return below(list, l.byParent, func(proc.Process) bool { return true })
}

func (l look) status(p *Process) Status {
	s := Status{State: Dead, Checked: !p.guessed, Record: p.Record, Logs: p.Record.logs()}
	if p.pidFile == "" {
		s.State = Absent
	}
	ended := p.hasEnded()
	list := p.members(l.around(p))
	if ended {
		list, s.Note = p.remains(l.around(p))
	}
	for _, q := range list {
		if ended {
			s.Left = append(s.Left, q.PID)
		}
		s.Processes++
		s.Threads += q.Threads
		s.CPU += time.Duration(q.User+q.System) * (time.Second / ticksPerSecond)
		s.RSS += q.RSS * int64(os.Getpagesize())
	}
	s.Usage = p.Record.usage()
	if ended {
		slices.Sort(s.Left)
		switch {
		case s.Note != "":
		case p.Record.ranOut():
			s.Note = "the kernel has ended processes of it, since it reached its limit on memory"
		case s.Usage != nil && s.Usage.OOMKills > 0:
			s.Note = "the kernel has ended processes of it, since there was no memory left"
		}
		return s
	}
	s.State = Running
	s.Since = startTime(p.Record.Start)
	s.Uptime = max(time.Since(s.Since), 0)
	if p.Record.Readiness == ReadinessWaiting {
		s.State, s.Note = l.readiness(p)
	}
	if _, seen := l.byPID[p.PID]; !seen {
		s.Note = "it is hidden in /proc"
	}
	return s
}

// readiness tells whether anybody still waits for a daemon to be ready.
func (l look) readiness(p *Process) (State, string) {
	if id := p.Record.Starter; id != nil {
		boot, _ := proc.BootID()
		if q, ok := l.byPID[id.PID]; ok && q.Start == id.Start && q.State != 'Z' && sameBoot(boot, id.BootID) {
			return Starting, ""
		}
	}
	return Running, "whoever started it ended before it was ready"
}

// logs are the files that standard output and error were at the start.
func (r Record) logs() []Log {
	var logs []Log
	for _, l := range []Log{{Path: r.Stdout, Streams: "stdout"}, {Path: r.Stderr, Streams: "stderr"}} {
		if l.Path == "" || l.Path == os.DevNull {
			continue
		}
		if len(logs) == 1 && logs[0].Path == l.Path {
			logs[0].Streams = "stdout+stderr"
			continue
		}
		var st unix.Stat_t
		if l.Size = -1; unix.Stat(l.Path, &st) == nil {
			l.Size = st.Size
		}
		logs = append(logs, l)
	}
	return logs
}
