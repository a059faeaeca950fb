package detach

import (
	"bytes"
	"encoding/json"
	"time"
)

// Record is what is known of a daemon: the content of the JSON file beside its
// PID file, named as it is with ".json" appended. Paths are absolute unless
// the directory they are relative to could not be told.
type Record struct {
	Version int `json:"detach"` // of this format: 1
	Identity
	Session int       `json:"session"` // also the process group it was born in
	Via     Via       `json:"via"`     // how it is held
	Path    string    `json:"path"`    // of the program
	Command []string  `json:"command"` // argv
	Dir     string    `json:"dir"`     // working directory
	Stdin   string    `json:"stdin,omitempty"`
	Stdout  string    `json:"stdout,omitempty"`
	Stderr  string    `json:"stderr,omitempty"`
	Console string    `json:"console,omitempty"`
	PIDFile string    `json:"pidfile,omitempty"`
	Started time.Time `json:"started"`

	// How many processes the kernel had made, see proc_stat(5): by that it is
	// known whether the number of the session can have been used again.
	Forks uint64 `json:"forks,omitempty"`

	// How long the log files were before, in bytes: what is behind that is of
	// this daemon, until they are rotated.
	StdoutFrom int64 `json:"stdout_from,omitempty"`
	StderrFrom int64 `json:"stderr_from,omitempty"`

	// What holds it with ViaSystemd. A record with a unit and no PID is one
	// of a start that was killed before it knew more: the unit tells.
	Unit     string `json:"unit,omitempty"`      // such as "detach-server-0123456789abcdef.service"
	UnitUser int    `json:"unit_user,omitempty"` // whose service manager: a user's number, or 0 for the machine's

	// The cgroup that is the daemon's alone, as in /proc/PID/cgroup, and the
	// number of its inode. A record with that and neither unit nor PID is of a
	// start that was killed before it knew more: the daemon is the process that
	// the PID file names, if it is in there.
	Cgroup   string `json:"cgroup,omitempty"`
	CgroupID uint64 `json:"cgroup_id,omitempty"`

	// CgroupShared tells that others may be in that cgroup, since it was asked for
	// by its path: then it is only removed when it is empty.
	CgroupShared bool `json:"cgroup_shared,omitempty"`

	User    string  `json:"user,omitempty"`    // see Cmd.User
	Limits  *Limits `json:"limits,omitempty"`  // see Cmd.Limits; nil if there are none
	Restart Restart `json:"restart,omitempty"` // see Cmd.Restart

	StopConsole string `json:"stop_console,omitempty"` // see Cmd.StopConsole

	// What it has to reach to be ready, see Ready, how far it is, and who
	// waits for it. All empty if there are no conditions.
	Ready     []string  `json:"ready,omitempty"`
	Readiness Readiness `json:"readiness,omitempty"`
	Starter   *Identity `json:"starter,omitempty"`
}

// Readiness is how far a daemon is on its way to be ready.
type Readiness string

const (
	ReadinessWaiting Readiness = "waiting"
	ReadinessReached Readiness = "ready"
	ReadinessFailed  Readiness = "not ready" // and kept, see Ready.Keep
)

const recordVersion = 1

// maxRecord is more than the longest one can be, in bytes: arguments are at
// most 6 MiB together (execve(2)), and one byte becomes at most six.
const maxRecord = 64 << 20

func (r *Record) encode() ([]byte, error) {
	var data bytes.Buffer
	e := json.NewEncoder(&data)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(r)
	return data.Bytes(), err
}

// parseRecord parses the content of a record file. It is one if it says so:
// another program's JSON file must not be taken for it and overwritten.
func parseRecord(data []byte) (Record, error) {
	var r Record
	if json.Unmarshal(data, &r) != nil || r.Version < 1 || r.PID < 1 && !r.isPending() && !r.isEntering() {
		return Record{}, ErrNotRecord
	}
	return r, nil
}

// isPending tells whether a record is only of an intention: systemd has been
// asked for the unit, or is about to be.
func (r *Record) isPending() bool { return r.Unit != "" && r.PID == 0 }

// isEntering tells whether a record is only of an intention, too: a daemon was
// about to enter that cgroup. The PID file tells whether it has.
func (r *Record) isEntering() bool {
	return r.Unit == "" && r.PID == 0 && r.CgroupID != 0 && !r.CgroupShared
}
