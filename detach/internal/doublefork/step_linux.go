package doublefork

// Step is a step of the double fork, as an error names it.
type Step int32

// The steps, in their order.
const (
	ForkIntermediate Step = iota
	Setsid
	ForkDaemon
	ResetSignals
	Chdir
	DupStdin
	DupStdout
	DupStderr
	CloseDescriptors
	SetNOFILE
	DupNotify
	WritePIDFile
	PlacePIDFile
	Exec
)

var stepNames = [...]string{
	ForkIntermediate: "fork",
	Setsid:           "setsid",
	ForkDaemon:       "second fork",
	ResetSignals:     "reset signals",
	Chdir:            "chdir",
	DupStdin:         "dup onto stdin",
	DupStdout:        "dup onto stdout",
	DupStderr:        "dup onto stderr",
	CloseDescriptors: "close descriptors",
	SetNOFILE:        "set RLIMIT_NOFILE",
	DupNotify:        "dup onto notification descriptor",
	WritePIDFile:     "write PID file",
	PlacePIDFile:     "rename PID file",
	Exec:             "exec",
}

func (s Step) String() string { return stepNames[s] }
