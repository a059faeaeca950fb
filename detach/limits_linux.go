package detach

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/internal/service"
)

// rlimits are the resource limits by their names, those of systemd.exec(5) in
// small letters.
var rlimits = []struct {
	name   string
	number int
}{
	{"cpu", unix.RLIMIT_CPU}, {"fsize", unix.RLIMIT_FSIZE}, {"data", unix.RLIMIT_DATA},
	{"stack", unix.RLIMIT_STACK}, {"core", unix.RLIMIT_CORE}, {"rss", unix.RLIMIT_RSS},
	{"nproc", unix.RLIMIT_NPROC}, {"nofile", unix.RLIMIT_NOFILE}, {"memlock", unix.RLIMIT_MEMLOCK},
	{"as", unix.RLIMIT_AS}, {"locks", unix.RLIMIT_LOCKS}, {"sigpending", unix.RLIMIT_SIGPENDING},
	{"msgqueue", unix.RLIMIT_MSGQUEUE}, {"nice", unix.RLIMIT_NICE}, {"rtprio", unix.RLIMIT_RTPRIO},
	{"rttime", unix.RLIMIT_RTTIME},
}

// rlimitNumber returns the number of a resource, -1 if there is none of that
// name.
func rlimitNumber(name string) int {
	for _, r := range rlimits {
		if r.name == name {
			return r.number
		}
	}
	return -1
}

// String is as the command line has it: "nofile=1024:4096".
func (r Rlimit) String() string {
	word := func(n uint64) string {
		if n == RlimitNone {
			return "unlimited"
		}
		return strconv.FormatUint(n, 10)
	}
	return r.Name + "=" + word(r.Soft) + ":" + word(r.Hard)
}

// check refuses what no kernel takes.
func (l Limits) check() error {
	refuse := func(name string, value any, why string) error {
		return &Error{Op: "limit", Path: fmt.Sprintf("%s=%v", name, value), Err: invalidError(why)}
	}
	switch {
	case l.Memory < 0:
		return refuse("memory", l.Memory, "is less than nothing")
	case l.CPUs < 0 || l.CPUs != 0 && !(l.CPUs >= 0.01 && l.CPUs <= 1e5):
		return refuse("cpus", l.CPUs, "is not from 0.01 to 100000")
	case l.Tasks < 0 || l.Tasks > MaxTasks:
		return refuse("tasks", l.Tasks, "is not from 1 to "+strconv.Itoa(MaxTasks))
	case l.IOWeight < 0 || l.IOWeight > 10000:
		return refuse("io-weight", l.IOWeight, "is not from 1 to 10000")
	case l.OOMScoreAdj != nil && (*l.OOMScoreAdj < -1000 || *l.OOMScoreAdj > 1000):
		return refuse("oom-score-adj", *l.OOMScoreAdj, "is not from -1000 to 1000")
	case l.Nice != nil && (*l.Nice < -20 || *l.Nice > 19):
		return refuse("nice", *l.Nice, "is not from -20 to 19")
	}
	for i, r := range l.Rlimits {
		again := slices.ContainsFunc(l.Rlimits[:i], func(earlier Rlimit) bool { return earlier.Name == r.Name })
		switch {
		case rlimitNumber(r.Name) < 0:
			return refuse("rlimit", r, "is no resource that the kernel limits, see setrlimit(2)")
		case again:
			return refuse("rlimit", r, "is there twice")
		case r.Soft > r.Hard:
			return refuse("rlimit", r, "has a soft limit above the hard one")
		}
	}
	return nil
}

// limit puts the limits that are of the process into what is to be forked.
func (l Limits) limit(s *doublefork.Spec) {
	s.OOMScoreAdj, s.Nice = l.OOMScoreAdj, l.Nice
	for _, r := range l.Rlimits {
		number := rlimitNumber(r.Name)
		if number == unix.RLIMIT_NOFILE {
			s.NOFILE = nil
		}
		s.Limits = append(s.Limits, doublefork.Limit{Resource: number, Soft: r.Soft, Hard: r.Hard})
	}
}

// rlimitWords are all of them, where it cannot be told which one was refused.
func (l Limits) rlimitWords() string {
	words := make([]string, len(l.Rlimits))
	for i, r := range l.Rlimits {
		words[i] = r.String()
	}
	return strings.Join(words, ", ")
}

// limitService puts them into what systemd is to start.
func (l Limits) limitService(s *service.Spec) {
	if l.OOMScoreAdj != nil {
		s.OOMScoreAdj = l.OOMScoreAdj
	}
	if l.Nice != nil {
		s.Nice = l.Nice
	}
	for _, r := range l.Rlimits {
		name := strings.ToUpper(r.Name)
		s.Limits = slices.DeleteFunc(s.Limits, func(l service.Limit) bool { return l.Name == name })
		s.Limits = append(s.Limits, service.Limit{Name: name, Soft: r.Soft, Hard: r.Hard})
	}
}

// within refuses before the start what a service manager may not set, as far as
// that can be seen of it. For the rest see fulfilled.
func (l Limits) within(manager int) error {
	status, err := proc.ReadStatus(procDir(manager))
	if err != nil {
		return nil
	}
	has := func(capability int) bool { return status.Effective>>capability&1 != 0 }
	refuse := func(name string, want, most any) error {
		return &Error{Op: "limit", Path: fmt.Sprintf("%s=%v", name, want), Err: unfitError(fmt.Sprintf("is more than systemd may set here: %v", most))}
	}
	for _, r := range l.Rlimits {
		var own unix.Rlimit
		number := rlimitNumber(r.Name)
		if !has(unix.CAP_SYS_RESOURCE) && unix.Prlimit(manager, number, nil, &own) == nil && r.Hard > own.Max {
			return refuse("rlimit", r, Rlimit{r.Name, own.Cur, own.Max})
		}
	}
	var most unix.Rlimit
	own, err := unix.Getpriority(unix.PRIO_PROCESS, manager) // as the system call: 20 - nice
	if l.Nice == nil || has(unix.CAP_SYS_NICE) || err != nil || unix.Prlimit(manager, unix.RLIMIT_NICE, nil, &most) != nil {
		return nil
	}
	if wanted := 20 - *l.Nice; wanted > own && uint64(wanted) > most.Cur {
		return refuse("nice", *l.Nice, 20-max(own, int(min(most.Cur, 40))))
	}
	return nil
}

// unfulfilledError means that a limit was set and is not what it was set to.
type unfulfilledError struct{ got string }

func (e *unfulfilledError) Error() string { return "cannot be enforced here: what was set is " + e.got }

// fulfilled looks at the limits of a daemon that systemd has started: where it
// may not set one it sets the nearest that it may (setrlimit_closest and
// setpriority_closest in its src/basic) and says nothing, or sets none.
func (l Limits) fulfilled(pid int) error {
	refuse := func(name string, want, got any) error {
		return &Error{Op: "limit", Path: fmt.Sprintf("%s=%v", name, want), Err: &unfulfilledError{fmt.Sprint(got)}}
	}
	if l.OOMScoreAdj != nil {
		if got, err := oomScoreAdj(procDir(pid)); err == nil && got != *l.OOMScoreAdj {
			return refuse("oom-score-adj", *l.OOMScoreAdj, got)
		}
	}
	if l.Nice != nil {
		if got, err := unix.Getpriority(unix.PRIO_PROCESS, pid); err == nil && 20-got != *l.Nice {
			return refuse("nice", *l.Nice, 20-got)
		}
	}
	for _, r := range l.Rlimits {
		// The soft one is the program's to move, as Java and Go do at once.
		var got unix.Rlimit
		if err := unix.Prlimit(pid, rlimitNumber(r.Name), nil, &got); err == nil && got.Max < r.Hard {
			return refuse("rlimit", r, Rlimit{r.Name, got.Cur, got.Max})
		}
	}
	return l.enforced(pid)
}

func (c *Cmd) limitsForRecord() *Limits {
	if !c.Limits.any() {
		return nil
	}
	return &c.Limits
}
