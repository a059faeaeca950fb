package detach

// Report is what was seen of a daemon from outside right after it was started.
type Report struct {
	Checks  []Check  `json:"checks"`
	Hazards []Hazard `json:"hazards,omitempty"`
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

// Check is one property of detachment.
type Check struct {
	Name string `json:"name"` // "exec", "session", "leader", "terminal", "parent", "alive"
	OK   bool   `json:"ok"`
	Got  string `json:"got"`  // what was found, in words
	Want string `json:"want"` // what it should be, in words
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

	// HazardOutputLost: standard output or error was a terminal and no log
	// file was given, so what the daemon prints is lost.
	HazardOutputLost HazardCode = "output-lost"
)
