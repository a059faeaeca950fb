package detach

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// invalidError is EINVAL in words.
type invalidError string

func (e invalidError) Error() string        { return string(e) }
func (e invalidError) Is(target error) bool { return target == unix.EINVAL }

// limitError is EMFILE in words.
type limitError struct{ limit uint64 }

func (e *limitError) Error() string {
	return fmt.Sprintf("the number has to be below the limit on descriptors, RLIMIT_NOFILE, which is %d", e.limit)
}

func (e *limitError) Is(target error) bool { return target == unix.EMFILE }

// daemonNOFILE is the soft limit on descriptors that a daemon is born with.
func daemonNOFILE() uint64 {
	if limit := raisedNOFILE(); limit != nil {
		return limit.Soft
	}
	var now unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &now) != nil {
		return math.MaxUint64
	}
	return now.Cur
}

// check refuses what cannot be waited for.
func (r *Ready) check() error {
	failed := func(c fmt.Stringer, text string) error {
		return &Error{Op: "ready", Path: c.String(), Err: invalidError(text)}
	}
	seen := map[string]bool{}
	for _, c := range r.When {
		switch c := c.(type) {
		case nil:
			return &Error{Op: "ready", Err: invalidError("a condition is nil")}
		case Alive:
			if c < 0 {
				return failed(c, "is negative")
			}
		case NotifyFD:
			if c < 3 {
				return failed(c, "the number is 3 or more")
			}
			if limit := daemonNOFILE(); uint64(c) >= limit {
				return &Error{Op: "ready", Path: c.String(), Err: &limitError{limit}}
			}
		case TCP:
			if _, err := c.addresses(); err != nil {
				return failed(c, err.Error())
			}
		case LogLine:
			if c.Regexp == nil {
				return &Error{Op: "ready", Path: "log", Err: invalidError("no regular expression")}
			}
		}
		word := c.String()
		if _, ok := c.(NotifyFD); ok {
			word = "fd" // one pipe is what there is
		}
		if seen[word] {
			return failed(c, "is there twice")
		}
		seen[word] = true
	}
	if len(r.When) == 0 && (len(r.Fail) > 0 || r.Timeout != 0 || r.Keep) {
		return &Error{Op: "ready", Err: invalidError("there is no condition to wait for")}
	}
	if slices.Contains(r.Fail, nil) {
		return &Error{Op: "ready", Path: "fail", Err: invalidError("no regular expression")}
	}
	if r.Timeout < 0 {
		return &Error{Op: "ready", Err: invalidError("the time is negative")}
	}
	return nil
}

// wantsFD returns a condition that needs a descriptor, or nil.
func (r *Ready) wantsFD() fmt.Stringer {
	for _, c := range r.When {
		if fd, ok := c.(NotifyFD); ok {
			return fd
		}
	}
	return nil
}

// wantsNotify tells whether there is a condition that takes NOTIFY_SOCKET.
func (r *Ready) wantsNotify() bool {
	for _, c := range r.When {
		if _, ok := c.(Notify); ok {
			return true
		}
	}
	return false
}

// wantsLog returns a condition that needs a log file, or nil.
func (r *Ready) wantsLog() fmt.Stringer {
	for _, c := range r.When {
		if log, ok := c.(LogLine); ok {
			return log
		}
	}
	for _, re := range r.Fail {
		return LogLine{re}
	}
	return nil
}

// words are the conditions, for the record.
func (r *Ready) words() []string {
	words := make([]string, len(r.When))
	for i, c := range r.When {
		words[i] = c.String()
	}
	return words
}
