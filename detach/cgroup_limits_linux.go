package detach

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/internal/service"
)

// controlledLimit is a limit by its name, and the controller that it needs.
type controlledLimit struct{ limit, controller string }

func (l Limits) controlled() []controlledLimit {
	var list []controlledLimit
	for _, c := range []struct {
		controlledLimit
		set bool
	}{
		{controlledLimit{"memory", "memory"}, l.Memory != 0}, {controlledLimit{"cpus", "cpu"}, l.CPUs != 0},
		{controlledLimit{"tasks", "pids"}, l.Tasks != 0}, {controlledLimit{"io-weight", "io"}, l.IOWeight != 0},
	} {
		if c.set {
			list = append(list, c.controlledLimit)
		}
	}
	return list
}

// controlledWords are their names.
func (l Limits) controlledWords() string {
	var words []string
	for _, c := range l.controlled() {
		words = append(words, c.limit)
	}
	return strings.Join(words, ", ")
}

// properties are the limits as systemd has them, see
// systemd.resource-control(5).
func (l Limits) properties() []service.Property {
	var list []service.Property
	if l.Memory != 0 {
		// That all of the daemon ends is also what makes systemd tell why.
		list = append(list, service.Property{Name: "MemoryMax", Value: uint64(l.Memory)}, service.Property{Name: "OOMPolicy", Value: "kill"})
	}
	if l.CPUs != 0 {
		list = append(list, service.Property{Name: "CPUQuotaPerSecUSec", Value: uint64(math.Round(l.CPUs * 1e6))})
	}
	if l.Tasks != 0 {
		list = append(list, service.Property{Name: "TasksMax", Value: uint64(l.Tasks)})
	}
	if l.IOWeight != 0 {
		list = append(list, service.Property{Name: "IOWeight", Value: uint64(l.IOWeight)})
	}
	return list
}

// missing means that a limit cannot be enforced.
func (c controlledLimit) missing(where string) error {
	return &Error{Op: "limit", Path: c.limit, Err: unfitError("there is no cgroup controller " + c.controller + " " + where + ", so it cannot be enforced")}
}

// checkControllers tells whether systemd can enforce the limits: it takes what it
// cannot, and says nothing.
func (l Limits) checkControllers(user int) error {
	root := cgroupMount("cgroup2", "")
	where := "here"
	if user != 0 {
		root = fmt.Sprintf("%s/user.slice/user-%d.slice/user@%[2]d.service", root, user)
		where = "that the user's systemd was given"
	}
	available := words(filepath.Join(root, "cgroup.controllers"))
	for _, c := range l.controlled() {
		name, v1 := c.controller, c.controller
		if v1 == "io" {
			v1 = "blkio"
		}
		if !slices.Contains(available, name) && (user != 0 || cgroupMount("cgroup", v1) == "") {
			return c.missing(where)
		}
	}
	return nil
}

func words(path string) []string {
	data, _ := os.ReadFile(path)
	return strings.Fields(string(data))
}

// controlled is the folder of the cgroup in which a controller holds a process.
type controlled struct {
	dir string
	v1  bool
}

// controlOf finds it in the content of /proc/PID/cgroup.
func controlOf(content []byte, controller string) (c controlled, ok bool) {
	v1 := controller
	if v1 == "io" {
		v1 = "blkio"
	}
	for line := range bytes.Lines(content) {
		fields := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(fields) < 3 {
			continue
		}
		switch {
		case slices.Contains(strings.Split(fields[1], ","), v1):
			if root := cgroupMount("cgroup", v1); root != "" {
				return controlled{root + fields[2], true}, true
			}
		case fields[0] == "0" && fields[1] == "" && !ok:
			if root := cgroupMount("cgroup2", ""); root != "" {
				c, ok = controlled{dir: root + fields[2]}, true
			}
		}
	}
	return c, ok
}

// pick returns the one of two names that this version has.
func (c controlled) pick(v1, v2 string) string {
	if c.v1 {
		return filepath.Join(c.dir, v1)
	}
	return filepath.Join(c.dir, v2)
}

// unlimitedBytes is less than what version 1 has for no limit, and more than
// any memory.
const unlimitedBytes = 1 << 60

// number reads a file that is a number; -1 if there is none, or "max".
func number(path string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return -1
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil || n >= unlimitedBytes {
		return -1
	}
	return n
}

// field reads a number from a file of names and numbers.
func field(path, name string) int64 {
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key == name {
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// cpus is the limit on CPU time; -1 if there is none.
func (c controlled) cpus() float64 {
	quota, period := number(filepath.Join(c.dir, "cpu.cfs_quota_us")), number(filepath.Join(c.dir, "cpu.cfs_period_us"))
	if !c.v1 {
		quota, period = -1, -1
		if both := words(filepath.Join(c.dir, "cpu.max")); len(both) == 2 {
			quota = atoi(both[0])
			period = atoi(both[1])
		}
	}
	if quota < 0 || period <= 0 {
		return -1
	}
	return float64(quota) / float64(period)
}

func atoi(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// usage is what the cgroups that hold a process use; nil if that cannot be
// told.
func usage(content []byte) *Usage {
	u := Usage{Memory: -1, MemoryMax: -1, Tasks: -1, TasksMax: -1, CPUs: -1, IOWeight: -1, OOMKills: -1}
	if c, ok := controlOf(content, "memory"); ok {
		u.Memory, u.MemoryMax = number(c.pick("memory.usage_in_bytes", "memory.current")), number(c.pick("memory.limit_in_bytes", "memory.max"))
		u.OOMKills = field(c.pick("memory.oom_control", "memory.events"), "oom_kill")
	}
	if c, ok := controlOf(content, "pids"); ok {
		u.Tasks, u.TasksMax = number(filepath.Join(c.dir, "pids.current")), number(filepath.Join(c.dir, "pids.max"))
	}
	if c, ok := controlOf(content, "cpu"); ok {
		u.CPUs = c.cpus()
	}
	if c, ok := controlOf(content, "io"); ok {
		u.IOWeight = c.ioWeight(weighingHere)
	}
	if u.Memory < 0 && u.Tasks < 0 && u.CPUs < 0 {
		return nil
	}
	return &u
}

// enforced reads the limits of a cgroup back.
func (l Limits) enforced(pid int) error {
	if !l.needCgroup() {
		return nil
	}
	content, err := proc.Read(procDir(pid)+"/cgroup", maxCgroup)
	if err != nil {
		return nil // it has ended, which is told elsewhere
	}
	return l.comparedWith(usage(content))
}

func (l Limits) comparedWith(u *Usage) error {
	if u == nil {
		u = &Usage{MemoryMax: -1, TasksMax: -1, CPUs: -1, IOWeight: -1}
	}
	refuse := func(name string, want, got any) error {
		word := fmt.Sprint(got)
		if word == "-1" {
			word = "nothing"
		}
		return &Error{Op: "limit", Path: fmt.Sprintf("%s=%v", name, want), Err: &unfulfilledError{word}}
	}
	page := int64(os.Getpagesize())
	switch {
	case l.Memory != 0 && (u.MemoryMax < 0 || u.MemoryMax > l.Memory+page):
		return refuse("memory", l.Memory, u.MemoryMax)
	case l.Tasks != 0 && u.TasksMax != l.Tasks:
		return refuse("tasks", l.Tasks, u.TasksMax)
	case l.CPUs != 0 && (u.CPUs < 0 || math.Abs(u.CPUs-l.CPUs) > 0.02*l.CPUs+0.01):
		return refuse("cpus", l.CPUs, u.CPUs)
	case l.IOWeight != 0 && u.IOWeight < 1:
		return refuse("io-weight", l.IOWeight, u.IOWeight)
	}
	return nil
}

// usage is that of the cgroup which is the daemon's alone, for as long as that
// is there. In the hierarchies of version 1 that are used it has the same path.
func (r *Record) usage() *Usage {
	if content := r.ownCgroups(); content != nil {
		return usage(content)
	}
	return nil
}

// ownCgroups are those of the daemon alone, in the form of /proc/PID/cgroup.
func (r *Record) ownCgroups() []byte {
	dir, id := cgroupDir(r.Cgroup)
	if dir == "" || id != r.CgroupID || r.CgroupID == 0 {
		return nil
	}
	content := "0::" + r.Cgroup + "\n"
	for _, v1 := range []string{"memory", "pids", "cpu", "blkio"} {
		if root := cgroupMount("cgroup", v1); root != "" {
			if _, err := os.Stat(root + r.Cgroup); err == nil {
				content += "1:" + v1 + ":" + r.Cgroup + "\n"
			}
		}
	}
	return []byte(content)
}

// ranOut tells whether the kernel has ended processes of the daemon because it
// reached its limit on memory, and not because the machine had none left.
func (r *Record) ranOut() bool {
	if r.Limits == nil || r.Limits.Memory == 0 {
		return false
	}
	c, ok := controlOf(r.ownCgroups(), "memory")
	if !ok {
		return false
	}
	if c.v1 {
		return number(filepath.Join(c.dir, "memory.failcnt")) > 0 && field(filepath.Join(c.dir, "memory.oom_control"), "oom_kill") > 0
	}
	events := filepath.Join(c.dir, "memory.events")
	return field(events, "oom") > 0 && field(events, "oom_kill") > 0
}

// limitCgroup sets the limits of a new cgroup of version 2.
func (l Limits) limitCgroup(dir string) error {
	parent := filepath.Dir(dir)
	available, enabled := words(filepath.Join(parent, "cgroup.controllers")), words(filepath.Join(parent, "cgroup.subtree_control"))
	for _, c := range l.controlled() {
		name := c.controller
		if !slices.Contains(available, name) {
			return c.missing("in " + quoteOdd(parent))
		}
		if slices.Contains(enabled, name) {
			continue
		}
		if err := writeControl(filepath.Join(parent, "cgroup.subtree_control"), "+"+name); err != nil {
			return err
		}
	}
	for _, w := range []struct {
		set         bool
		name, value string
	}{
		{l.Memory != 0, "memory.max", strconv.FormatInt(l.Memory, 10)},
		{l.Memory != 0, "memory.oom.group", "1"},
		{l.CPUs != 0, "cpu.max", fmt.Sprintf("%d 100000", int64(math.Round(l.CPUs*100000)))},
		{l.Tasks != 0, "pids.max", strconv.FormatInt(l.Tasks, 10)},
	} {
		if !w.set {
			continue
		}
		if err := writeControl(filepath.Join(dir, w.name), w.value); err != nil {
			return err
		}
	}
	if l.IOWeight == 0 {
		return nil
	}
	return weigh(dir, l.IOWeight)
}

// writeControl writes to a file of a cgroup, in one go and without making it.
func writeControl(path, value string) error {
	fd, err := openAbove2(path, unix.O_WRONLY, 0)
	if err == nil {
		defer unix.Close(fd)
		_, err = unix.Write(fd, []byte(value))
	}
	switch err {
	case unix.ENOENT:
		err = unfitError("the kernel has no such file, so it cannot be enforced")
	case unix.EINVAL:
		err = invalidError("the kernel does not take " + value)
	}
	if err != nil {
		return &Error{Op: "limit", Path: path, Err: err}
	}
	return nil
}

var errForkLimit = errors.New("is of a cgroup, and a fork stays in the caller's; have it held by systemd or by a cgroup of its own")
