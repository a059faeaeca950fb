package detach

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// diagnose says in a sentence what the report comes to.
func (in *inspection) diagnose(r Report) string {
	failed, unknown := map[string]bool{}, []string{}
	for _, c := range r.Checks {
		switch {
		case c.Unknown:
			unknown = append(unknown, c.Name)
		case !c.OK:
			failed[c.Name] = true
		}
	}
	others := otherEnds(r.Hazards)
	switch {
	case in.statErr != nil:
		return "it cannot be told whether it is detached: " + causeWords(in.statErr) + in.whomToAsk()
	case in.isMachineInit():
		return "it is PID 1 of the machine: nothing outlives it that it could be detached from"
	case len(failed) == 0 && len(unknown) == 0 && len(others) == 0:
		return "it is detached"
	case len(failed) == 0 && len(unknown) == 0:
		return "it is detached, but not from " + strings.Join(others, " nor from ")
	}
	text := in.diagnoseFailed(failed)
	if len(others) > 0 {
		text += "; what else can end it: " + enumerate(others)
	}
	if len(unknown) > 0 {
		text += fmt.Sprintf("; its %s cannot be told%s", enumerate(unknown), in.whomToAsk())
	}
	return text
}

func (in *inspection) whomToAsk() string {
	if in.statErr != nil || in.statusErr != nil {
		return ": ask as its user, or as root"
	}
	if int(in.status.UID) == unix.Geteuid() {
		return ": ask as root"
	}
	return fmt.Sprintf(": ask as its user, %d, or as root", in.status.UID)
}

// otherEnds name what can end a process that is detached.
func otherEnds(hazards []Hazard) []string {
	words := map[HazardCode]string{
		HazardNamespace: "the end of its container",
		HazardCgroup:    "the end of the unit whose cgroup it is in",
		HazardCI:        "a CI runner that finds its variable",
		HazardSubreaper: "the end of the process tree it was adopted into",
	}
	var found []string
	for _, h := range hazards {
		if w := words[h.Code]; w != "" {
			found = append(found, w)
		}
	}
	return found
}

// diagnoseFailed says what the checks that do not hold come to together.
func (in *inspection) diagnoseFailed(failed map[string]bool) string {
	ends := in.endsWithManager(failed)
	var text string
	switch {
	case failed["session"]:
		text = "it dies with its manager: by " + strings.Join(ends, ", by ")
	case len(ends) > 0:
		text = "it has a session of its own, but can still die with its manager: by " + strings.Join(ends, ", by ")
	case len(failed) > 0:
		text = "it outlives its manager, but not all is well"
	default:
		text = "as far as can be told it is detached"
	}
	sentences := []string{text}
	for _, more := range []struct {
		holds bool
		text  string
	}{
		{failed["session"] && in.ignores(unix.SIGHUP), "SIGHUP is ignored, as by nohup, so a hang-up alone does not end it"},
		{failed["leader"], "as a session leader it gets a controlling terminal, and dies of its hang-up, when it opens one"},
		{failed["stdin"], "its standard input may come to an end"},
		{failed["signals"], "SIGTERM does not end it, only SIGKILL does"},
		{failed["descriptors"], in.sharedWords()},
		{failed["environment"], "its environment speaks of another process, such as whom to tell that it is ready"},
	} {
		if more.holds {
			sentences = append(sentences, more.text)
		}
	}
	return strings.Join(sentences, "; ")
}

// endsWithManager are the ways in which the end of the manager ends it.
func (in *inspection) endsWithManager(failed map[string]bool) []string {
	var ends []string
	add := func(format string, args ...any) { ends = append(ends, fmt.Sprintf(format, args...)) }
	if failed["session"] {
		if with := in.groupSharers(); len(with) > 0 {
			is := "is"
			if len(with) > 1 {
				is = "are"
			}
			add("a signal to the process group %d, in which %s %s", in.stat.Group, in.nameAll(with), is)
		}
		add("a signal to everybody in its session, %s", in.checkSession().Got)
	}
	if failed["terminal"] && !in.ignores(unix.SIGHUP) {
		add("a hang-up of its terminal %s", terminalName(in.stat.TTY))
	}
	if failed["parent"] {
		add("a walk of the process tree below %s", in.name(in.stat.Parent))
	}
	for i, name := range streamNames {
		if i > 0 && failed[name] {
			add("what it writes once its %s has gone", streamWords[i])
			break
		}
	}
	return ends
}

func (in *inspection) ignores(sig unix.Signal) bool {
	return in.statusErr == nil && in.status.Ignored.Has(sig)
}

// sharedWords says what is bad about the descriptors that others have too.
func (in *inspection) sharedWords() string {
	for _, s := range in.sharedFiles() {
		if s.kind == streamSocket {
			return "it keeps a socket of another process open: a port that it listens on stays taken"
		}
	}
	return "it keeps a pipe of another process open: who reads that to the end waits for it to end"
}
