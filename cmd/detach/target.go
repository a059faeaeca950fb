package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/detachkit/detach/detach"
)

// target is a daemon as the command line names it.
type target struct {
	text     string
	kind     targetKind
	pid      int             // of a PID
	identity detach.Identity // of an identity
}

type targetKind string

const (
	targetFile     targetKind = "PID file"
	targetRecord   targetKind = "record"
	targetPID      targetKind = "PID"
	targetIdentity targetKind = "identity"
)

// parseTarget tells a PID and an identity from a file name by how they look:
// ./123 is a file.
func parseTarget(s string) (target, error) {
	t := target{text: s}
	switch {
	case s == "":
		return t, &usageError{"an empty name is no daemon's", "a PID file, a record, a PID, or an identity as --json prints it"}
	case strings.Trim(s, "0123456789") == "":
		pid, err := strconv.Atoi(s)
		if err != nil || pid < 1 || pid > 1<<30 {
			return t, &usageError{s + " is not a PID", "to name a file, write ./" + s}
		}
		t.kind, t.pid = targetPID, pid
	case strings.HasSuffix(s, ".json"):
		t.kind = targetRecord
	default:
		t.kind = targetFile
		if id, err := detach.ParseIdentity(s); err == nil {
			t.kind, t.identity = targetIdentity, id
		}
	}
	return t, nil
}

func parseTargets(args []string, usage string) ([]target, error) {
	if len(args) == 0 {
		return nil, &usageError{"no target", usage}
	}
	targets := make([]target, len(args))
	for i, arg := range args {
		t, err := parseTarget(arg)
		if err != nil {
			return nil, err
		}
		targets[i] = t
	}
	return targets, nil
}

// open finds the daemon.
func (t target) open() (*detach.Process, error) {
	switch t.kind {
	case targetPID:
		return detach.Find(t.pid)
	case targetIdentity:
		return detach.FindIdentity(t.identity)
	}
	return detach.Open(t.text)
}

// notRunning tells whether an error means that there is no such daemon.
func notRunning(err error) bool {
	return errors.Is(err, detach.ErrExited) || errors.Is(err, fs.ErrNotExist)
}

// complain reports an error. If there is no such file it says what the target
// was taken for, which may not be what was meant.
func (t target) complain(stderr io.Writer, err error) (status int) {
	if !notRunning(err) {
		report(stderr, err)
		return statusFailed
	}
	fmt.Fprintln(stderr, err) // the hints of a start would mislead
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(stderr, "hint: understood as", t)
	}
	return lsbAbsent
}

// String says what was understood: "PID file server.pid", "PID 4711".
func (t target) String() string { return fmt.Sprintf("%s %s", t.kind, quoteOdd(t.text)) }

// quoteOdd keeps a message on one line, and shows what cannot be seen.
func quoteOdd(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
