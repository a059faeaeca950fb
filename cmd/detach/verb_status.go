package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/detachkit/detach/detach"
)

const statusUsage = `Usage: detach status [flags] TARGET...

Tell whether daemons run, since when and with what; several make a table.
TARGET is a PID file, a record, a PID, or an identity as --json prints it. CPU
time, memory, processes and threads are those of all in the daemon's session. Of
one that has ended it tells what it has left behind there, which stop ends. One
that systemd is starting again (--restart) is waited for, up to 5 seconds; so do
send and verify.

      --check tcp=[HOST:]PORT   it accepts connections there, itself and not
                       somebody else
      --check log=REGEXP        a line matches that it has written to its log
                       and that is still in there: not one that logrotate has
                       taken away since, so it is for what a log says again and
                       again, and for daemons whose logs are not rotated
      --check cmd=COMMAND       sh -c COMMAND exits with status 0; it has
                       DETACH_PID and DETACH_PIDFILE in its environment
                       (repeatable; all have to hold)
      --timeout TIME   for each check, such as 500ms (default: 10s)
      --json           print a JSON object, or an array of them for several
  -h, --help           print this text

Exit status, after LSB; of several the highest:
  0    it is running and all checks hold, or it is starting, when no check is
       asked: its start waits for it to be ready, and fails if it is not in time
  1    it has ended, and its PID file is still there
  3    it is not running
  4    it cannot be told
  150  it is running, but unhealthy: a check does not hold
  125  detach was misused, or interrupted: a COMMAND has been ended then

Example:
  detach status /srv/*/server.pid
  detach status --check tcp=25565 server.pid >/dev/null ||
      mail -s "it is ill" root </dev/null
`

// After the Linux Standard Base, "Init Script Actions".
const (
	lsbRunning = 0
	lsbDead    = 1
	lsbAbsent  = 3
	lsbUnknown = 4

	statusUnhealthy = 150 // the first that LSB leaves to applications
)

// looked is what was found of a target.
type looked struct {
	Target   string     `json:"target"`
	Kind     targetKind `json:"target_is"`
	Identity string     `json:"identity,omitempty"` // of the record
	detach.Status
	Health  []health `json:"health,omitempty"`
	Error   string   `json:"error,omitempty"`
	lsb     int
	process *detach.Process // nil if there is none
}

func runStatus(args []string, stdout, stderr io.Writer) (status int) {
	var asJSON bool
	var checks []healthCheck
	patience := healthPatience
	flags := newFlags("detach status")
	flags.value(func(s string) error {
		c, err := parseCheck(s)
		checks = append(checks, c)
		return err
	}, "", "check")
	flags.duration(&patience, "", "timeout")
	flags.toggle(&asJSON, "", "json")
	if status, over := flags.begin(args, statusUsage, stdout, stderr); over {
		return status
	}
	targets, err := parseTargets(flags.Args(), "detach status [flags] TARGET...")
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	found := look(targets, stderr)
	defer closeAll(found)
	if len(checks) > 0 {
		ctx, cancel := interruptible()
		defer cancel()
		askAll(ctx, found, checks, patience)
		if ctx.Err() != nil { // what was asked has been ended
			report(stderr, errors.New("detach: status: interrupted"))
			return statusFailed
		}
	}
	for _, l := range found {
		status = max(status, l.lsb)
	}
	var text string
	switch {
	case asJSON && len(found) == 1:
		text = encode(found[0])
	case asJSON:
		text = encode(found)
	case len(found) == 1:
		text = found[0].details()
	default:
		text = tabulate(found)
	}
	if failed := write(stdout, stderr, text); failed != 0 {
		return failed
	}
	return status
}

// look looks at all targets, and again at one that has ended meanwhile and that
// systemd starts again.
func look(targets []target, stderr io.Writer) []looked {
	found := lookOnce(targets, stderr)
	for i := range found {
		for found[i].followed() {
			found[i].process.Close()
			found[i] = lookOnce(targets[i:i+1], stderr)[0]
		}
	}
	return found
}

// followed tells whether there may be another process by now: Open had found it
// alive.
func (l *looked) followed() bool {
	return l.State == detach.Dead && l.Record.Restart != detach.RestartNo && l.process.PIDFD() != -1
}

// lookOnce looks at all targets at once.
func lookOnce(targets []target, stderr io.Writer) []looked {
	found := make([]looked, len(targets))
	var known []*detach.Process
	var where []int
	for i, t := range targets {
		found[i] = looked{Target: t.text, Kind: t.kind}
		p, err := t.openAny()
		if err != nil {
			found[i].missing(err)
			if found[i].lsb == lsbUnknown {
				t.report(stderr, err)
			}
			continue
		}
		found[i].process = p
		known, where = append(known, p), append(where, i)
	}
	statuses, err := detach.Survey(known...)
	if err != nil {
		report(stderr, err)
	}
	for n, i := range where {
		if err != nil {
			found[i].Error, found[i].lsb = err.Error(), lsbUnknown
			continue
		}
		found[i].Status = statuses[n]
		if id := known[n].Identity(); id.Start != 0 {
			found[i].Identity = id.String()
		}
		switch statuses[n].State {
		case detach.Dead:
			found[i].lsb = lsbDead
		case detach.Absent:
			found[i].lsb = lsbAbsent
		}
	}
	return found
}

func closeAll(found []looked) {
	for _, l := range found {
		if l.process != nil {
			l.process.Close()
		}
	}
}

// missing says what it means that a target could not be opened.
func (l *looked) missing(err error) {
	if notRunning(err) {
		l.State, l.lsb = detach.Absent, lsbAbsent
		return
	}
	l.Error, l.lsb = err.Error(), lsbUnknown
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and times only
	}
	return string(data) + "\n"
}

// state is the state in words.
func (l looked) state() string {
	switch {
	case l.Error != "":
		return "unknown"
	case l.State == detach.Dead:
		return "dead"
	case l.State == detach.Absent:
		return "not running"
	}
	if l.lsb == statusUnhealthy {
		return "unhealthy"
	}
	return string(l.State)
}

func (l looked) details() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", key, fmt.Sprintf(format, args...)) }
	line("target", "%s %s", l.Kind, quoteOdd(l.Target))
	line("state", "%s", l.state())
	r := l.Record
	if r.PID != 0 {
		line("pid", "%d", r.PID)
	}
	if len(r.Command) > 0 {
		line("command", "%s", quoteOdd(quote(r.Command...)))
	}
	if l.running() {
		line("since", "%s (%s)", l.Since.Local().Format(time.DateTime), span(l.Uptime))
		line("session", "%d: %d processes, %d threads", r.Session, l.Processes, l.Threads)
		line("cpu", "%s", l.CPU.Round(10*time.Millisecond))
		line("memory", "%s", size(l.RSS))
		if text := usageText(l.Usage); text != "" {
			line("limits", "%s", text)
		}
		if !l.Checked {
			line("identity", "not checked: there is no record, it may be another process")
		}
	}
	if l.Exit != nil {
		line("ended", "%s", l.Exit)
	}
	if len(l.Left) > 0 {
		line("left", "%s", listed(l.Left))
	}
	for _, log := range l.Logs {
		line(log.Streams, "%s (%s)", quoteOdd(log.Path), size(log.Size))
	}
	if r.Console != "" {
		line("console", "%s", quoteOdd(r.Console))
	}
	switch {
	case r.Unit != "":
		line("via", "%s: %s", r.Via, r.Unit)
	case r.Via != "":
		line("via", "%s", r.Via)
	}
	for _, h := range l.Health {
		line("check", "%s: %s", quoteOdd(h.Check), cmp.Or(h.Reason, "ok"))
	}
	if l.Note != "" {
		line("note", "%s", l.Note)
	}
	w.Flush()
	return b.String()
}

// listed are the first of the PIDs, and how many more there are.
func listed(pids []int) string {
	const most = 10
	words := make([]string, min(len(pids), most))
	for i := range words {
		words[i] = fmt.Sprint("PID ", pids[i])
	}
	if more := len(pids) - most; more > 0 {
		words = append(words, fmt.Sprintf("%d more", more))
	}
	return strings.Join(words, ", ")
}

func (l looked) running() bool { return l.State == detach.Running || l.State == detach.Starting }

func tabulate(found []looked) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TARGET\tSTATE\tPID\tUPTIME\tCPU\tMEMORY\tPROCS\tCOMMAND")
	for _, l := range found {
		pid, up, cpu, memory, processes := "-", "-", "-", "-", "-"
		if l.Record.PID != 0 {
			pid = fmt.Sprint(l.Record.PID)
		}
		if l.running() {
			up, cpu, memory = span(l.Uptime), fmt.Sprint(l.CPU.Round(10*time.Millisecond)), size(l.RSS)
			processes = fmt.Sprint(l.Processes)
		} else if len(l.Left) > 0 {
			processes = fmt.Sprint(len(l.Left), " left")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", quoteOdd(l.Target), l.state(), pid, up, cpu, memory, processes, quoteOdd(quote(l.Record.Command...)))
	}
	w.Flush()
	return b.String()
}

// span is a time in the two largest units that matter.
func span(d time.Duration) string {
	day := 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// usageText is what is used of what is limited.
func usageText(u *detach.Usage) string {
	if u == nil {
		return ""
	}
	var list []string
	if u.MemoryMax >= 0 {
		list = append(list, fmt.Sprintf("memory %s of %s", size(u.Memory), size(u.MemoryMax)))
	}
	if u.TasksMax >= 0 {
		list = append(list, fmt.Sprintf("%d tasks of %d", u.Tasks, u.TasksMax))
	}
	if u.CPUs >= 0 {
		list = append(list, fmt.Sprintf("%.4g CPUs", u.CPUs))
	}
	if u.IOWeight > 0 && u.IOWeight != 100 {
		list = append(list, fmt.Sprintf("I/O weight %d", u.IOWeight))
	}
	if u.OOMKills > 0 {
		list = append(list, fmt.Sprintf("out of memory %d times", u.OOMKills))
	}
	return strings.Join(list, ", ")
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 0:
		return "cannot be told"
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
