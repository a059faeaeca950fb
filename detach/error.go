package detach

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error is a failed start, or a failed operation on a daemon.
type Error struct {
	Op   string // the step, such as "find", "open", "chdir", "exec", "verify"
	Path string // the file it was about, or empty
	Err  error  // the cause, mostly a syscall.Errno
}

func (e *Error) Error() string {
	s := "detach: " + e.Op
	if e.Path != "" {
		s += " " + quoteOdd(e.Path)
	}
	return s + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// quoteOdd keeps a message on one line, and shows what cannot be seen.
func quoteOdd(path string) string {
	if !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(path)
	}
	return path
}

// RunningError means that the PID file names a process that is alive, or one
// that has left others behind in its session.
type RunningError struct {
	PID  int   // of the process that the file names
	Left []int // PIDs of what it has left; empty if it is alive itself
}

func (e *RunningError) Error() string {
	if len(e.Left) > 0 {
		return fmt.Sprintf("PID %d has ended, and left in its session: %s", e.PID, numbers(e.Left))
	}
	return fmt.Sprintf("already running as PID %d", e.PID)
}

// LeftError means that a daemon has ended and that there are processes in a
// session of its number, which may be what it has left or, since so many others
// were started meanwhile, a stranger's. They have not been signalled.
type LeftError struct {
	PIDs []int
}

func (e *LeftError) Error() string {
	return "it has ended, and it cannot be told whether these are what it has left: " + numbers(e.PIDs)
}

// numbers lists PIDs: "PID 4, 8".
func numbers(pids []int) string {
	words := make([]string, len(pids))
	for i, pid := range pids {
		words[i] = strconv.Itoa(pid)
	}
	return "PID " + strings.Join(words, ", ")
}

// ThreadError means that a number is not the PID of a process, but that of one
// of its threads other than the first.
type ThreadError struct {
	PID int // of the process
}

func (e *ThreadError) Error() string { return fmt.Sprintf("is a thread of PID %d", e.PID) }

// SupervisedError means that systemd would start again what is to be ended. That
// has not been signalled, unless systemd has changed its mind since.
type SupervisedError struct {
	Unit string
	User int   // whose service manager; 0 is the machine's
	Err  error // why systemd is not kept from it; nil for a unit that is not of this package
}

func (e *SupervisedError) Error() string {
	text := "systemd would start it again as " + e.Unit
	if e.Err != nil {
		text += ", and cannot be told not to: " + e.Err.Error()
	}
	return text
}

func (e *SupervisedError) Unwrap() error { return e.Err }

var (
	// ErrExited means that the program was exec'd but ended before it could be
	// verified, or, from Open, that the daemon has ended.
	ErrExited = errors.New("exited already")

	// ErrNoRecord means that a process was found by a PID file alone, so that
	// nobody knows whether it is the daemon. It has not been signalled.
	ErrNoRecord = errors.New("found by its PID alone, it may be another process")

	// ErrAncestor means that a process from Find is the caller, one of its
	// ancestors or PID 1: whoever stops it ends with it. It has not been signalled.
	ErrAncestor = errors.New("the caller descends from it, and would end with it")

	// ErrFailed means that the program said that it had failed before it was
	// ready: by a line in its log, by ERRNO=, or by closing its descriptor.
	ErrFailed = errors.New("said that it failed")

	// ErrNoConsole means that the daemon has no console.
	ErrNoConsole = errors.New("it has no console")

	// ErrConsoleGone means that the FIFO which was the daemon's console has been
	// removed, or that what has its name now is not its standard input.
	ErrConsoleGone = errors.New("its console has gone")

	// ErrNotSupervised means that a daemon is not held by what could start it
	// again.
	ErrNotSupervised error = notSupervised{}

	// ErrRestarting means that systemd starts the program again and again, and it
	// does not stay up.
	ErrRestarting = errors.New("systemd starts it again and again, and it does not stay up")

	// ErrNoLog means that a condition speaks of the log, and there is no log
	// file.
	ErrNoLog = errors.New("it has no log file")

	// ErrNotRead means that the daemon does not read its console.
	ErrNotRead = errors.New("does not read its console")

	// ErrNotPIDFile means that a file exists where the PID file is to be, and
	// is none. It is left as it is.
	ErrNotPIDFile = errors.New("exists and is not a PID file")

	// ErrNotRecord means that a file exists where the record is to be, and is
	// none. It is left as it is.
	ErrNotRecord = errors.New("exists and is not a record of detach")

	// ErrIsPIDFile means that a log, a console or an input file has the name
	// of the PID file or of its record, which would take its place.
	ErrIsPIDFile = errors.New("is the PID file or its record")

	// ErrNotDetached means that the daemon was not found as it has to be. It
	// has been killed.
	ErrNotDetached = errors.New("not detached")

	// ErrNotLog means that a path given as a log or as standard input is a
	// FIFO, a socket or a terminal, which does not outlive its other end.
	ErrNotLog = errors.New("is a FIFO, a socket or a terminal, which does not outlive its other end")

	// ErrNotTheirs means that a log or a console of a daemon that is to be
	// another user's exists, and is somebody else's. It is left as it is.
	ErrNotTheirs = errors.New("is there already and not the user's")

	// ErrNotFIFO means that a path given as a console is something else.
	ErrNotFIFO = errors.New("is not a FIFO")
)

// HazardError means that Strict forbids a start, because of these.
type HazardError struct {
	Hazards []Hazard
}

func (e *HazardError) Error() string {
	words := make([]string, len(e.Hazards))
	for i, h := range e.Hazards {
		words[i] = h.Text
	}
	return strings.Join(words, "; ")
}

// InterpreterError means that the program exists, but not the interpreter that
// it names: in its "#!" line, or as its dynamic linker.
type InterpreterError struct {
	Interpreter string // empty if it could not be told
	Err         error
}

func (e *InterpreterError) Error() string {
	if e.Interpreter == "" {
		return "its interpreter or dynamic linker: " + e.Err.Error()
	}
	return "its interpreter " + quoteOdd(e.Interpreter) + ": " + e.Err.Error()
}

func (e *InterpreterError) Unwrap() error { return e.Err }

type notSupervised struct{}

func (notSupervised) Error() string        { return "nobody looks after a double fork" }
func (notSupervised) Is(target error) bool { return target == errors.ErrUnsupported }
