package doublefork

// Step is a step of the double fork, as an error names it.
type Step int32

// The steps, in their order.
const (
	ForkIntermediate Step = iota
	Setsid
	ForkDaemon
	ResetSignals
	EnterCgroup
	SetOOMScore
	Chdir
	DupStdin
	DupStdout
	DupStderr
	CloseDescriptors
	SetNOFILE
	DupNotify
	WritePIDFile
	PlacePIDFile
	SetLimit
	SetNice
	SetGroups
	SetGID
	SetUID
	DropCapabilities
	Exec
)

var stepNames = [...]string{
	ForkIntermediate: "fork",
	Setsid:           "setsid",
	ForkDaemon:       "second fork",
	ResetSignals:     "reset signals",
	EnterCgroup:      "enter cgroup",
	SetOOMScore:      "set oom_score_adj",
	Chdir:            "chdir",
	DupStdin:         "dup onto stdin",
	DupStdout:        "dup onto stdout",
	DupStderr:        "dup onto stderr",
	CloseDescriptors: "close descriptors",
	SetNOFILE:        "set RLIMIT_NOFILE",
	DupNotify:        "dup onto notification descriptor",
	WritePIDFile:     "write PID file",
	PlacePIDFile:     "rename PID file",
	SetLimit:         "set resource limit",
	SetNice:          "set nice value",
	SetGroups:        "set supplementary groups",
	SetGID:           "set group",
	SetUID:           "set user",
	DropCapabilities: "drop capabilities",
	Exec:             "exec",
}

func (s Step) String() string { return stepNames[s] }
