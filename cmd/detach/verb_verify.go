package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/detachkit/detach/detach"
)

const verifyUsage = `Usage: detach verify [flags] TARGET

Look at a process from outside, however it was started: whether each property of
detachment holds, what else can end it, and what it comes to. TARGET is a PID
file, a record, a PID, or an identity as --json prints it.

      --json           print a JSON object
  -h, --help           print this text

Exit status:
  0    all properties hold
  1    some do not
  3    there is no such process
  4    it cannot be told: what can be looked at holds, but not all can, for lack
       of permission or because /proc hides it
  125  detach was misused

Examples:
  detach verify server.pid
  detach verify "$(pgrep -n java)"
`

const (
	verifyHolds   = 0
	verifyFails   = 1
	verifyAbsent  = 3
	verifyUnknown = 4
)

// verified is what was found of a target.
type verified struct {
	Target   string     `json:"target"`
	Kind     targetKind `json:"target_is"`
	Identity string     `json:"identity"`
	PID      int        `json:"pid"`
	Checked  bool       `json:"checked"` // as in detach.Status
	Command  []string   `json:"command,omitempty"`
	OK       bool       `json:"ok"`
	detach.Report
}

func runVerify(args []string, stdout, stderr io.Writer) (status int) {
	var asJSON bool
	flags := newFlags("detach verify")
	flags.toggle(&asJSON, "", "json")
	if status, over := flags.begin(args, verifyUsage, stdout, stderr); over {
		return status
	}
	targets, err := parseTargets(flags.Args(), "detach verify [flags] TARGET")
	if err == nil && len(targets) > 1 {
		err = &usageError{"more than one target", "detach verify [flags] TARGET"}
	}
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	v, err := targets[0].verify()
	if err != nil {
		if targets[0].complain(stderr, err) == lsbAbsent {
			return verifyAbsent
		}
		return verifyUnknown
	}
	text := v.text()
	if asJSON {
		text = encode(v)
	}
	if failed := write(stdout, stderr, text); failed != 0 {
		return failed
	}
	return v.status()
}

func (t target) verify() (verified, error) {
	p, err := t.open()
	if err != nil {
		return verified{}, err
	}
	defer p.Close()
	r, err := p.Verify()
	if err != nil {
		return verified{}, err
	}
	return verified{
		Target:   t.text,
		Kind:     t.kind,
		Identity: p.Identity().String(),
		PID:      p.PID,
		Checked:  !t.named() || p.Record.Version > 0,
		Command:  p.Record.Command,
		OK:       r.OK(),
		Report:   r,
	}, nil
}

func (v verified) status() int {
	status := verifyHolds
	for _, c := range v.Checks {
		switch {
		case c.OK:
		case c.Unknown:
			status = max(status, verifyUnknown)
		default:
			return verifyFails
		}
	}
	return status
}

func (v verified) text() string {
	var b strings.Builder
	if v.Kind != targetPID {
		fmt.Fprintf(&b, "%s %s: ", v.Kind, quoteOdd(v.Target))
	}
	fmt.Fprintf(&b, "PID %d", v.PID)
	if len(v.Command) > 0 {
		fmt.Fprintf(&b, ": %s", quoteOdd(quote(v.Command...)))
	}
	fmt.Fprintln(&b)
	if !v.Checked {
		fmt.Fprintln(&b, "identity not checked: there is no record, it may be another process")
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range v.Checks {
		got := strings.ToValidUTF8(c.Got, "\uFFFD") // 0xff means something to a tabwriter
		switch {
		case c.OK:
			fmt.Fprintf(w, "ok\t%s\t%s\n", c.Name, got)
		case c.Unknown:
			fmt.Fprintf(w, "?\t%s\t%s\n", c.Name, got)
		default:
			fmt.Fprintf(w, "NO\t%s\t%s; want: %s\n", c.Name, got, c.Want)
		}
	}
	w.Flush()
	writeHazards(&b, v.Hazards)
	fmt.Fprintln(&b, v.Diagnosis)
	return b.String()
}
