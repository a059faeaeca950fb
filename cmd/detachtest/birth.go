//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A birth is what a probe was born with: all that a launcher handed down.
type birth struct {
	PID      int    `json:"pid"`
	Start    uint64 `json:"start_time"` // clock ticks since boot
	Parent   int    `json:"parent"`
	Group    int    `json:"process_group"`
	Session  int    `json:"session"`
	Terminal int    `json:"terminal"` // device number, 0 for none
	// OpensTerminal tells whether /dev/tty can be opened, which is the proof
	// of a controlling terminal.
	OpensTerminal bool `json:"opens_terminal"`
	// AcquiresTerminal tells whether it got a controlling terminal just by
	// opening one. It tries only where a check asks for it.
	AcquiresTerminal bool           `json:"acquires_terminal,omitempty"`
	Descriptors      map[int]string `json:"descriptors"`
	// Closed are those of the first three descriptors that were.
	Closed []int `json:"closed,omitempty"`
	// Overwriting are those of standard output and standard error that are
	// regular files but not opened for appending.
	Overwriting []int  `json:"overwriting,omitempty"`
	Blocked     string `json:"signals_blocked"` // hexadecimal, as in /proc
	Ignored     string `json:"signals_ignored"`
	Umask       string `json:"umask"`
	Directory   string `json:"directory"`
	OpenFiles   limit  `json:"open_files"` // RLIMIT_NOFILE
	// Limits are all resource limits, by their names in /proc/PID/limits.
	Limits  map[string]limit `json:"limits"`
	Cgroups []string         `json:"cgroups"`
	// Cookies are the variables of the environment by which others find their
	// processes again or tell them how they are looked after.
	Cookies     map[string]string `json:"cookies"`
	OOMScoreAdj int               `json:"oom_score_adj"`
	// ParentDeathSignal is what the kernel sends it when its parent ends,
	// empty for nothing.
	ParentDeathSignal string `json:"parent_death_signal"`
}

// cookies are the variables that a birth records.
var cookies = []string{
	// Jenkins, which kills by them: freestyle jobs, pipelines, older ones.
	"JENKINS_SERVER_COOKIE", "HUDSON_SERVER_COOKIE", "JOB_NAME", "JOB_BASE_NAME", "BUILD_NUMBER", "BUILD_ID", "BUILD_TAG",
	"JENKINS_NODE_COOKIE", "JENKINS_COOKIE", "HUDSON_COOKIE",
	"RUNNER_TRACKING_ID", // GitHub Actions
	// systemd, which speaks of a service's main process by them.
	"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MANAGERPID", "MAINPID", "NOTIFY_SOCKET",
	"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
	"XDG_SESSION_ID", // logind
}

// A limit is a resource limit as /proc prints it, a number or "unlimited".
type limit struct {
	Soft string `json:"soft"`
	Hard string `json:"hard"`
}

func (b *birth) identity() identity { return identity{b.PID, b.Start} }

// deaf returns the signals that have no effect. For a program that never
// unblocks any, a blocked signal is as good as an ignored one.
func (b *birth) deaf() (sigset, error) {
	blocked, ignored, err := b.signals()
	return blocked | ignored, err
}

func (b *birth) signals() (blocked, ignored sigset, err error) {
	bits, err := strconv.ParseUint(b.Blocked, 16, 64)
	if err != nil {
		return 0, 0, err
	}
	blocked = sigset(bits)
	bits, err = strconv.ParseUint(b.Ignored, 16, 64)
	return blocked, sigset(bits), err
}

// takeBirth says what this process was born with.
//
// What the Go runtime changes when it starts was saved by the script before
// it: lines of /proc/self/status and /proc/self/limits as they were then.
func takeBirth(saved string) (*birth, error) {
	descriptors, err := inheritedDescriptors()
	if err != nil {
		return nil, err
	}
	self, err := readStat(os.Getpid())
	if err != nil {
		return nil, err
	}
	lines, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return nil, err
	}
	limits, asSaved := parseLimits(string(lines)), parseLimits(saved)
	openFiles, ok := asSaved[openFilesLimit]
	if !ok {
		return nil, fmt.Errorf("parse limits: no line %q", openFilesLimit)
	}
	limits[openFilesLimit] = openFiles
	oomScoreAdj, err := readInt("/proc/self/oom_score_adj")
	if err != nil {
		return nil, err
	}
	parentDeathSignal, err := ownParentDeathSignal()
	if err != nil {
		return nil, err
	}
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	fields := parseFields(saved)
	closed, err := parseNumbers(fields["Closed"])
	if err != nil {
		return nil, err
	}
	for _, fd := range closed {
		delete(descriptors, fd) // the Go runtime has opened it
	}
	overwriting, err := overwritingOutputs()
	if err != nil {
		return nil, err
	}
	// A directory that has been removed is no reason not to be born.
	directory, _ := os.Readlink("/proc/self/cwd")
	return &birth{
		PID:           self.pid,
		Start:         self.start,
		Parent:        self.parent,
		Group:         self.group,
		Session:       self.session,
		Terminal:      self.terminal,
		OpensTerminal: opensTerminal(),
		Descriptors:   descriptors,
		Closed:        closed,
		Overwriting:   overwriting,
		Blocked:       fields["SigBlk"],
		Ignored:       fields["SigIgn"],
		Umask:         fields["Umask"],
		Directory:     directory,
		OpenFiles:     openFiles,
		Limits:        limits,
		Cgroups:       strings.Split(strings.TrimSpace(string(cgroups)), "\n"),
		Cookies:       ownCookies(),
		OOMScoreAdj:   oomScoreAdj,

		ParentDeathSignal: parentDeathSignal,
	}, nil
}

func parseNumbers(words string) ([]int, error) {
	var numbers []int
	for word := range strings.FieldsSeq(words) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// overwritingOutputs returns those of standard output and standard error that
// are regular files but not opened for appending.
func overwritingOutputs() ([]int, error) {
	var found []int
	for fd := 1; fd <= 2; fd++ {
		var file unix.Stat_t
		if err := unix.Fstat(fd, &file); err != nil {
			return nil, os.NewSyscallError("fstat", err)
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil {
			return nil, os.NewSyscallError("fcntl F_GETFL", err)
		}
		if file.Mode&unix.S_IFMT == unix.S_IFREG && flags&unix.O_APPEND == 0 {
			found = append(found, fd)
		}
	}
	return found, nil
}

func opensTerminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

func ownCookies() map[string]string {
	found := map[string]string{}
	for _, name := range cookies {
		if value, ok := os.LookupEnv(name); ok {
			found[name] = value
		}
	}
	return found
}

// ownParentDeathSignal asks on the main thread: the signal is a thread's own.
func ownParentDeathSignal() (string, error) {
	var sig int32
	if err := prctlGet(unix.PR_GET_PDEATHSIG, &sig); err != nil || sig == 0 {
		return "", err
	}
	if name := unix.SignalName(unix.Signal(sig)); name != "" {
		return name, nil
	}
	return strconv.Itoa(int(sig)), nil // a real-time signal
}

func readInt(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// openFilesLimit is RLIMIT_NOFILE in /proc/PID/limits.
const openFilesLimit = "Max open files"

// parseLimits parses lines of /proc/PID/limits: a name with spaces in it, then
// at least two spaces, the soft limit, the hard limit and a unit.
func parseLimits(lines string) map[string]limit {
	limits := map[string]limit{}
	for line := range strings.Lines(lines) {
		name, rest, ok := strings.Cut(line, "  ")
		if values := strings.Fields(rest); ok && len(values) >= 2 && strings.HasPrefix(name, "Max ") {
			limits[name] = limit{Soft: values[0], Hard: values[1]}
		}
	}
	return limits
}
