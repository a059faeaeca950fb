package detach

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

func (c *Cmd) outlook(ctx context.Context) (Outlook, error) {
	if err := proc.Check(); err != nil {
		return Outlook{}, &Error{Op: "look at", Path: "/proc", Err: err}
	}
	strict := *c
	strict.Strict = true // looks at all
	h, err := strict.hold(ctx)
	if err != nil {
		return Outlook{}, err
	}
	defer h.close()
	o := Outlook{Via: h.via, Hazards: slices.Concat(h.hazards, strict.placeHazards(h, c.env()))}
	if h.via == ViaSystemd {
		o.Hazards = append(o.Hazards, lostHazard(c.env())...)
	}
	if h.threat != nil {
		o.Unit, o.Setting = h.threat.unit, h.threat.setting
	}
	return o, nil
}

// placeHazards are what a daemon inherits of its danger: what costs next to
// nothing to see, and with Strict the rest.
func (c *Cmd) placeHazards(h *holding, env []string) []Hazard {
	in := &inspection{pid: os.Getpid(), dir: "/proc/self", environ: env, names: map[int]string{}}
	hazards := in.ciHazard()
	if c.Limits.OOMScoreAdj == nil {
		hazards = append(hazards, inheritedOOMHazard(in.oomHazard())...)
	}
	if !c.Strict {
		return hazards
	}
	var err error
	if in.status, err = proc.ReadStatus(in.dir); err == nil {
		in.arrangeSelf()
		hazards = append(hazards, in.namespaceHazard()...)
	}
	hazards = slices.Concat(hazards, c.reaperHazards(h), unreapedHazard(), c.outputHazard())
	if h.via == ViaFork {
		hazards = append(hazards, memoryHazard()...)
	}
	return hazards
}

func (in *inspection) arrangeSelf() {
	if list, err := proc.List(); err == nil {
		in.stat, _ = proc.ReadStat(in.pid)
		in.arrange(list)
	}
}

// inheritedOOMHazard has the remedy for before the start.
func inheritedOOMHazard(hazards []Hazard) []Hazard {
	for i := range hazards {
		hazards[i].Remedy = "if that is not meant: choom -n 0 -- detach ..."
	}
	return hazards
}

// reaperHazards are of orphans that come back to the caller or its manager. A
// service is nobody's orphan.
func (c *Cmd) reaperHazards(h *holding) []Hazard {
	if h.via == ViaSystemd {
		return nil
	}
	var subreaper int32
	_ = unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	switch {
	case os.Getpid() == 1 || subreaper != 0:
		return []Hazard{reaperHazard(os.Getpid())}
	case c.manager() == 1:
		return []Hazard{reaperHazard(1)}
	}
	return nil
}

// reapPatience is how long an init may take to reap an orphan.
const reapPatience = time.Second

// unreapedHazard looks for orphans that PID 1 leaves as they are.
func unreapedHazard() []Hazard {
	left := func() map[proc.Process]bool {
		found := map[proc.Process]bool{}
		list, _ := proc.List()
		for _, q := range list {
			if q.Parent == 1 && q.State == 'Z' {
				found[proc.Process{PID: q.PID, Stat: proc.Stat{Start: q.Start}}] = true
			}
		}
		return found
	}
	before := left()
	for deadline := time.Now().Add(reapPatience); len(before) > 0; time.Sleep(reapPatience / 20) {
		now := left()
		for q := range before {
			if !now[q] {
				return nil // it reaps
			}
		}
		if time.Now().After(deadline) {
			return []Hazard{{
				Code:   HazardUnreaped,
				Text:   fmt.Sprintf("%s does not reap the orphans that it is given, %d of them are left: a daemon that has ended keeps its PID and its entry in /proc", describe(1), len(before)),
				Remedy: "let an init be PID 1 (docker run --init)",
			}}
		}
	}
	return nil
}

// outputHazard is what becomes of standard output and error without a log.
func (c *Cmd) outputHazard() []Hazard {
	if c.Stdout != "" || c.Stderr != "" {
		return nil
	}
	var lost []string
	for fd := 1; fd <= 2; fd++ {
		if k := kindOf(fd); k == terminal || k == fleeting {
			lost = append(lost, streamWords[fd])
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return []Hazard{{
		Code:   HazardOutputLost,
		Text:   enumerate(lost) + ": a terminal, a pipe or a socket does not outlive its other end, /dev/null takes its place",
		Remedy: "name a log file: -o FILE",
	}}
}

// memoryHazard looks for a limit that the manager and its daemon share, in the
// cgroup and those above it.
func memoryHazard() []Hazard {
	content, err := proc.Read("/proc/self/cgroup", maxCgroup)
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(content) {
		fields := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(fields) < 3 {
			continue
		}
		var root, file string
		switch {
		case fields[0] == "0" && fields[1] == "":
			root, file = cgroupMount("cgroup2", ""), "memory.max"
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			root, file = cgroupMount("cgroup", "memory"), "memory.limit_in_bytes"
		}
		if root == "" {
			continue
		}
		for dir := fields[2]; ; dir = path.Dir(dir) {
			if h := memoryHazardOf(root+dir, dir, file); h != nil {
				return h
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return nil
}

func memoryHazardOf(dir, name, file string) []Hazard {
	const unlimited = 1 << 60 // version 1 has a number that is larger than any memory
	limit := ""
	if data, err := os.ReadFile(path.Join(dir, file)); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && n < unlimited {
			limit = fmt.Sprintf("a memory limit of %d MiB", n>>20)
		}
	}
	group, _ := os.ReadFile(path.Join(dir, "memory.oom.group"))
	all := strings.TrimSpace(string(group)) == "1"
	h := Hazard{Code: HazardMemory, Remedy: "start it with --via systemd, or give the manager's cgroup more memory"}
	switch {
	case limit != "" && all:
		h.Text = fmt.Sprintf("it shares %s with its manager, in the cgroup %s with memory.oom.group: when it is reached, the kernel ends all of them", limit, quoteOdd(name))
	case limit != "":
		h.Text = fmt.Sprintf("it shares %s with its manager, in the cgroup %s: when it is reached, the kernel ends one of them", limit, quoteOdd(name))
	case all:
		h.Text = fmt.Sprintf("it is in the cgroup %s with memory.oom.group: when memory runs out and one in there is ended, the kernel ends all of them", quoteOdd(name))
	default:
		return nil
	}
	return []Hazard{h}
}
