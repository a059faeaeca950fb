package detach

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/detachkit/detach/detach/internal/proc"
)

// hazards are what can end the process although it is detached, and what
// cripples it. What cannot be looked at is among the checks.
func (in *inspection) hazards() []Hazard {
	return slices.Concat(
		in.namespaceHazard(),
		in.cgroupHazard(),
		in.ciHazard(),
		in.adopterHazard(),
		in.stdioHazards(),
		in.logHazard(),
		in.oomHazard(),
	)
}

func (in *inspection) namespaceHazard() []Hazard {
	h := Hazard{
		Code:   HazardNamespace,
		Remedy: "nothing outlives its container; let an init be PID 1 there (docker run --init), and the manager be below it",
	}
	const ends = ", the kernel kills everything in it"
	switch depth := len(in.status.NSpid); {
	case isNamespaceInit(in.status):
		h.Text = "it is PID 1 of a PID namespace of its own: when it ends" + ends
	case depth > 1:
		h.Text = "it is in another PID namespace: when PID 1 of that ends" + ends
		if init := in.namespaceInit(depth); init > 0 {
			h.Text = fmt.Sprintf("it is in another PID namespace: when PID 1 of that, %s here, ends%s", in.name(init), ends)
		}
	case inContainer() && !initIsSystemd():
		h.Text = fmt.Sprintf("it is in the PID namespace of a container: when %s ends%s", in.name(1), ends)
	default:
		return nil
	}
	return []Hazard{h}
}

// namespaceInit returns the PID 1 of the process's PID namespace, if that is
// among its ancestors.
func (in *inspection) namespaceInit(depth int) int {
	for pid := range in.ancestors {
		if s, err := proc.ReadStatus(procDir(pid)); err == nil && len(s.NSpid) == depth && isNamespaceInit(s) {
			return pid
		}
	}
	return 0
}

func (in *inspection) cgroupHazard() []Hazard {
	sharers := in.unitSharers()
	if len(sharers) == 0 {
		return nil
	}
	scope, unit := strings.HasSuffix(in.unit, ".scope"), quoteOdd(unitName(in.unit))
	h := Hazard{Code: HazardCgroup, Text: fmt.Sprintf("it is in the cgroup of %s together with %s", unit, in.nameAll(sharers))}
	switch threat, known := in.asked.threat(in.unit); {
	case known && threat == nil:
		return nil
	case known && threat.session:
		h.Text += fmt.Sprintf(", and logind has %s: the logout ends it too", threat.setting)
		h.Remedy = "start it with detach --via systemd, and let its user linger: loginctl enable-linger"
		return []Hazard{h}
	case known:
		h.Text += fmt.Sprintf(", and %s has %s: systemctl stop or restart of that unit ends it too", quoteOdd(threat.unit), threat.setting)
		h.Remedy = "set KillMode=process in " + quoteOdd(threat.unit) + ", or start it with detach --via systemd"
		return []Hazard{h}
	}
	if scope {
		h.Text += ": what ends that scope ends it too, as does a logout where logind has KillUserProcesses=yes"
		h.Remedy = "start it as a unit of its own, as with systemd-run --user, and let its user linger: loginctl enable-linger"
	} else {
		h.Text += ": systemctl stop or restart of that unit ends it too, unless the unit says KillMode=process"
		h.Remedy = "set KillMode=process in " + unit + ", or start it as a unit of its own, as with systemd-run"
	}
	return []Hazard{h}
}

func (in *inspection) ciHazard() []Hazard {
	found := ciVariables(in.environ)
	if len(found) == 0 {
		return nil
	}
	return []Hazard{{
		Code:   HazardCI,
		Text:   "in its environment is " + enumerate(found) + ", by which a CI runner finds and kills what a job has left",
		Remedy: "start it with detach --outlive-ci",
	}}
}

func (in *inspection) adopterHazard() []Hazard {
	parent := in.stat.Parent
	switch in.parentage() {
	case parentAdopter:
		return []Hazard{{
			Code:   HazardSubreaper,
			Text:   fmt.Sprintf("it is in the process tree of %s, which has adopted it: whoever walks and kills that tree kills it", in.name(parent)),
			Remedy: "if that is its manager, let the manager be no subreaper (PR_SET_CHILD_SUBREAPER)",
		}}
	case parentStarter:
		if in.isStarter(in.byPID[parent]) {
			return []Hazard{reaperHazard(parent)}
		}
	}
	return nil
}

// stdioHazards has one hazard for standard output and error if they are the
// same.
func (in *inspection) stdioHazards() []Hazard {
	var hazards []Hazard
	both := in.streams[1].err == nil && in.streams[2].err == nil && in.streams[1].target == in.streams[2].target
	for i, s := range in.streams {
		ok, what := in.lasts(s)
		if s.err != nil || ok || i == 2 && both {
			continue
		}
		subject := streamWords[i] + " is a "
		if i == 1 && both {
			subject = streamWords[1] + " and " + streamWords[2] + " are a "
		}
		hazards = append(hazards, stdioHazard(s, subject+what))
	}
	return hazards
}

func stdioHazard(s stream, text string) Hazard {
	switch {
	case s.kind == streamTerminal:
		text += ": once that is hung up, reading and writing fail"
	case s.fd == 0:
		text += ": with the last writer gone it is at its end, which some programs take for an order to end, or read again and again"
	default:
		text += ": when nobody reads it, writing blocks once it is full; with its last reader gone, writing ends the program (SIGPIPE) or fails"
	}
	remedy := "start it with detach -o FILE"
	if s.fd == 0 {
		remedy = "start it with detach, which gives it /dev/null, or with detach --console FIFO"
	}
	return Hazard{Code: HazardStdio, Text: text, Remedy: remedy}
}

func (in *inspection) logHazard() []Hazard {
	var names, paths []string
	for i, s := range in.streams {
		if i > 0 && s.err == nil && s.kind == streamFile && s.deleted && !strings.HasPrefix(s.target, "/memfd:") {
			names = append(names, streamWords[i])
			if path := quoteOdd(strings.TrimSuffix(s.target, " (deleted)")); !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Hazard{{
		Code:   HazardLogDeleted,
		Text:   fmt.Sprintf("%s: the log file %s has been deleted: what is written there is lost, and takes up space until the program ends", enumerate(names), enumerate(paths)),
		Remedy: "restart it, and have the log rotated with copytruncate",
	}}
}

func (in *inspection) oomHazard() []Hazard {
	score, err := oomScoreAdj(in.dir)
	if err != nil || score >= 0 || in.service && in.record.Unit == "" { // systemd gives its services what their units say
		return nil
	}
	return []Hazard{{
		Code:   HazardOOM,
		Text:   fmt.Sprintf("its oom_score_adj is %d, by itself or inherited: when memory runs out, the kernel ends others in its place", score),
		Remedy: fmt.Sprintf("if that is not meant: choom -n 0 -p %d", in.pid),
	}}
}

func oomScoreAdj(dir string) (int, error) {
	data, err := proc.Read(dir+"/oom_score_adj", 64)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}
