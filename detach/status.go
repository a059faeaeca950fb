package detach

import "time"

// State is the state of a daemon.
type State string

const (
	// Running: it is alive, and ready where conditions were set, see Ready.
	Running State = "running"
	// Starting: it is alive, and whoever started it waits until it is ready.
	Starting State = "starting"
	// Dead: it has ended and its PID file is still there.
	Dead State = "dead"
	// Absent: there is no such daemon: no PID file, or no process.
	Absent State = "absent"
)

// Status is what is to be seen of a daemon at this moment.
type Status struct {
	State State `json:"state"`
	// Checked tells whether it is known that this is the daemon. It is not of
	// one that was found by a PID file without a record, see Open.
	Checked bool   `json:"checked"`
	Record  Record `json:"record"` // as from Open or Find

	Since  time.Time     `json:"since,omitzero"` // start of the process, if it runs
	Uptime time.Duration `json:"uptime"`         // nanoseconds

	// What the daemon's session uses: the processes of Processes, together.
	Processes int           `json:"processes"`
	Threads   int           `json:"threads"`
	CPU       time.Duration `json:"cpu"` // user and kernel mode, nanoseconds
	RSS       int64         `json:"rss"` // resident memory in bytes, shared pages counted once each process

	// Left are the PIDs of the processes that a daemon which has ended has left
	// behind in its session: they are then what Processes counts.
	Left []int `json:"left,omitempty"`

	// Exit is how it has ended, where systemd still knows: as long as what it has
	// left runs in its unit. Nil otherwise.
	Exit *Exit `json:"exit,omitempty"`

	// Usage is that of its cgroup, where that is its alone; nil otherwise.
	Usage *Usage `json:"usage,omitempty"`

	Logs []Log  `json:"logs,omitempty"`
	Note string `json:"note,omitempty"` // what is worth knowing, in words
}

// Log is a log file of a daemon.
type Log struct {
	Path    string `json:"path"`
	Streams string `json:"streams"` // "stdout", "stderr" or "stdout+stderr"
	Size    int64  `json:"size"`    // bytes; -1 where it cannot be told
}

// Status looks at the daemon. See Survey.
func (p *Process) Status() (Status, error) {
	s, err := Survey(p)
	if err != nil {
		return Status{}, err
	}
	return s[0], nil
}

// Survey looks at many daemons at once, which costs one look at /proc.
func Survey(ps ...*Process) ([]Status, error) { return survey(ps) }
