package detach

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

const (
	wantSession  = "one of its own"
	wantLeader   = "no session leader, which could get a controlling terminal by opening one"
	gotService   = "session leader, as systemd starts its services"
	wantTerminal = "none"
	wantParent   = "PID 1, or another one that orphans are given to"
)

// sharers are the processes attached to the same thing as the process and not
// by its own doing: its ancestors, and what is older without being descended
// from it. Anything younger it may have started itself.
func (in *inspection) sharers(same func(proc.Process) bool) []int {
	var pids []int
	for pid, q := range in.byPID {
		if pid == in.pid || q.State == 'Z' || q.State == 'X' || !same(q) {
			continue
		}
		if in.ancestors[pid] || !in.descendants[pid] && q.Start < in.stat.Start {
			pids = append(pids, pid)
		}
	}
	slices.SortFunc(pids, func(a, b int) int { // its parent first, then the others above it, then the last one started
		if above := in.ancestors[a]; above != in.ancestors[b] {
			if above {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(in.byPID[b].Start, in.byPID[a].Start), b-a)
	})
	return pids
}

// bornHere tells whether the process is still in the session that Start has
// made for it alone.
func (in *inspection) bornHere() bool {
	return in.record.Version > 0 && in.record.Session > 0 && in.stat.Session == in.record.Session
}

func (in *inspection) sessionSharers() []int {
	if in.stat.Session == in.pid || in.bornHere() {
		return nil
	}
	return in.sharers(func(q proc.Process) bool { return q.Session == in.stat.Session })
}

func (in *inspection) groupSharers() []int {
	if in.stat.Group == in.pid || in.bornHere() && in.stat.Group == in.record.Session {
		return nil
	}
	return in.sharers(func(q proc.Process) bool { return q.Group == in.stat.Group && q.Session == in.stat.Session })
}

// leaderLives tells whether the session is that of another process which has
// not ended. While the session has members its number is given to nobody else:
// whoever has it as a PID is the leader.
func (in *inspection) leaderLives() bool {
	if in.stat.Session == in.pid || in.stat.Session < 1 {
		return false
	}
	pidfd, _, _, err := openAlive(in.stat.Session, nil)
	if err == nil {
		unix.Close(pidfd)
	}
	return err == nil
}

func (in *inspection) checkSession() Check {
	c := Check{Name: "session", Want: wantSession}
	s := in.stat.Session
	switch {
	case s == in.pid:
		c.OK, c.Got = true, fmt.Sprintf("%d, its own", s)
	case s == 0 && in.isMachineInit():
		c.OK, c.Got = true, "0, that of the kernel"
	case s == 0 && in.machine:
		c.Got = "0, that of the kernel and of what is started before PID 1 makes one"
	case s == 0: // and group 0
		c.Got = "that of a process outside this PID namespace"
	case in.leaderLives():
		c.Got = fmt.Sprintf("%d, that of %s", s, in.name(s))
	default:
		if sharers := in.sessionSharers(); len(sharers) > 0 {
			c.Got = fmt.Sprintf("%d, together with %s", s, in.nameAll(sharers))
			break
		}
		c.OK, c.Got = true, fmt.Sprintf("%d, its own", s)
	}
	return c
}

// isMachineInit tells whether the process is PID 1 of the machine. That of a
// container has been started by somebody who is outside.
func (in *inspection) isMachineInit() bool { return in.pid == 1 && in.machine }

func (in *inspection) checkLeader() Check {
	c := Check{Name: "leader", Want: wantLeader}
	switch {
	case in.stat.Session != in.pid:
		c.OK, c.Got = true, "no session leader"
	case in.isMachineInit():
		c.OK, c.Got = true, "session leader, and PID 1"
	case in.record.Version > 0 && in.record.Session != in.pid && in.record.Unit == "":
		c.OK, c.Got = true, "session leader by its own setsid"
	case in.service:
		c.OK, c.Got = true, gotService
	default:
		c.Got = "session leader"
	}
	return c
}

func (in *inspection) checkTerminal() Check {
	c := Check{Name: "terminal", OK: in.stat.TTY == 0, Got: "none", Want: wantTerminal}
	if !c.OK {
		c.Got = terminalName(in.stat.TTY)
	}
	return c
}

// terminalName names a terminal by its device number as in proc_pid_stat(5).
// The numbers are those of the kernel's admin-guide/devices.txt.
func terminalName(number int) string {
	device := uint64(uint32(number))
	major, minor := unix.Major(device), unix.Minor(device)
	switch {
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<8|minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	}
	return fmt.Sprintf("device %d:%d", major, minor)
}

// parentage is what the parent of the process is to it.
type parentage int

const (
	parentStarter parentage = iota // it has started it, as far as can be told
	parentInit                     // it takes orphans by its nature
	parentAdopter                  // it takes orphans, and may be anything
	parentOutside                  // cannot be seen
)

func (in *inspection) parentage() parentage {
	parent := in.stat.Parent
	seen, ok := in.byPID[parent]
	switch {
	case parent == 1, parent == 0 && in.pid == 1, in.isInit(parent):
		return parentInit
	case parent == 0:
		return parentOutside
	case in.isStarter(seen):
		return parentStarter
	case in.record.Version > 0: // it was an orphan when Start had verified it
		return parentAdopter
	case !ok:
		return parentOutside
	// A child is born in the session of its parent. One that is in another one
	// and has not made that itself has been born elsewhere.
	case in.stat.Session != in.pid && in.stat.Session != seen.Session:
		return parentAdopter
	}
	return parentStarter
}

// isStarter tells whether a process is the one that Start was called in.
func (in *inspection) isStarter(q proc.Process) bool {
	id := in.record.Starter
	return id != nil && id.PID == q.PID && id.Start == q.Start
}

// reapers are programs that take orphans and start nothing of their own
// accord, as /proc/PID/comm has them: the first 15 bytes, which
// containerd-shim-runc-v2 has in common with its kind.
var reapers = []string{"catatonit", "conmon", "containerd-shim", "docker-init", "dumb-init", "podman-init", "tini"}

// isInit tells whether a process is PID 1 of a PID namespace below this one,
// the systemd of a user, or another one whose task is to take orphans.
func (in *inspection) isInit(pid int) bool {
	if status, err := proc.ReadStatus(procDir(pid)); err == nil && isNamespaceInit(status) {
		return true
	}
	comm := commOf(pid)
	return slices.Contains(reapers, comm) || comm == "systemd" && slices.Contains(argsOf(pid), "--user")
}

func isNamespaceInit(s proc.Status) bool { return len(s.NSpid) > 1 && s.NSpid[len(s.NSpid)-1] == 1 }

func (in *inspection) checkParent() Check {
	c := Check{Name: "parent", Want: wantParent}
	parent := in.stat.Parent
	switch in.parentage() {
	case parentInit:
		c.OK, c.Got = true, "none, it is PID 1"
		if parent > 0 {
			c.Got = in.name(parent)
		}
	case parentAdopter:
		c.OK, c.Got = true, in.name(parent)+", which has adopted it"
	case parentOutside:
		c.Unknown, c.Got = true, "cannot be told: outside this PID namespace"
		if parent > 0 {
			c.Got = fmt.Sprintf("cannot be told: PID %d is hidden in /proc", parent)
		}
	default:
		c.Got = in.name(parent)
	}
	return c
}
