package detach

// Report is what was seen of a daemon from outside: by Start right after it was
// started, or by Process.Verify at any time.
type Report struct {
	Checks  []Check  `json:"checks"`
	Hazards []Hazard `json:"hazards,omitempty"`

	// Diagnosis is what Verify makes of it, in one sentence: "it is detached",
	// or what can end it together with its manager. Start leaves it empty.
	Diagnosis string `json:"diagnosis,omitempty"`
}

// OK tells whether every check holds. A daemon that Start returned passes all
// of them but possibly "parent", and then there is a hazard that tells why.
func (r Report) OK() bool {
	for _, c := range r.Checks {
		if !c.OK {
			return false
		}
	}
	return true
}

// Check is one property of detachment. Its name is, from Start, "exec",
// "session", "leader", "terminal", "parent" or "alive". Verify has the last
// five, and "stdin", "stdout", "stderr", "signals", "descriptors" and
// "environment".
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Got  string `json:"got"`  // what was found, in words
	Want string `json:"want"` // what it should be, in words

	// Unknown tells that it could not be looked at, as for lack of permission:
	// OK is false then, and Got says why.
	Unknown bool `json:"unknown,omitempty"`
}

// Hazard is something that can still end or cripple the daemon.
type Hazard struct {
	Code   HazardCode `json:"code"`
	Text   string     `json:"text"`             // what it is, a clause without a full stop
	Remedy string     `json:"remedy,omitempty"` // what to do
}

// HazardCode names a kind of hazard.
type HazardCode string

const (
	// HazardReaper: orphans go to the manager itself (it is a subreaper, see
	// PR_SET_CHILD_SUBREAPER(2const), or PID 1 of its namespace), so the daemon
	// is still in its process tree.
	HazardReaper HazardCode = "reaper"

	// HazardOutputLost: standard output or error was a terminal (or, as Outlook
	// tells too, a pipe or a socket) and no log file was given, so what the
	// daemon prints is lost.
	HazardOutputLost HazardCode = "output-lost"

	// HazardSubreaper: it was adopted by a process that is no init. It is in
	// the process tree of that one, which may be its manager.
	HazardSubreaper HazardCode = "subreaper"

	// HazardStdio: standard input, output or error is a terminal, a pipe, a
	// FIFO or a socket, whose other end may go.
	HazardStdio HazardCode = "stdio"

	// HazardLogDeleted: standard output or error is a file that has been
	// deleted. What is written there is lost, and takes up space until the
	// daemon ends.
	HazardLogDeleted HazardCode = "log-deleted"

	// HazardCgroup: it is in the cgroup of a systemd service or scope together
	// with processes outside its session, so that it ends with them when the
	// unit is stopped (KillMode= in systemd.kill(5), KillUserProcesses= in
	// logind.conf(5)).
	HazardCgroup HazardCode = "cgroup"

	// HazardLinger: it is below the systemd of a user who does not linger (see
	// loginctl(1)), and ends with that at the last logout.
	HazardLinger HazardCode = "linger"

	// HazardMemory: it shares a limit on memory with its manager, by their
	// cgroup: the kernel ends one of them, or all (memory.oom.group), when
	// together they reach it.
	HazardMemory HazardCode = "memory"

	// HazardUnreaped: PID 1, or who else adopts orphans here, does not reap
	// them: once it has ended, its PID and its entry in /proc stay.
	HazardUnreaped HazardCode = "unreaped"

	// HazardEnvironmentLost: it has not all of the environment, because systemd
	// does not pass on such names.
	HazardEnvironmentLost HazardCode = "environment-lost"

	// HazardSandboxLeft: systemd starts it outside what its manager is confined
	// to: a mount, network, IPC, UTS or user namespace, another root directory,
	// a seccomp filter, or a bounding set of capabilities.
	HazardSandboxLeft HazardCode = "sandbox-left"

	// HazardCI: variables in its environment by which a CI runner finds and
	// kills the processes that a job has left, see Cookies.
	HazardCI HazardCode = "ci"

	// HazardNamespace: it is in the PID namespace of a container. When PID 1
	// of that ends, the kernel kills everything in it.
	HazardNamespace HazardCode = "pid-namespace"

	// HazardOOM: its oom_score_adj is negative, which it may have from its
	// manager: when memory runs out others are ended in its place.
	HazardOOM HazardCode = "oom"
)
