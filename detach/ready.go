package detach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Ready is when a daemon counts as started. The zero value means as soon as
// its program has been exec'd and verified.
type Ready struct {
	// When has what must hold, all of it.
	When []Condition

	// Fail are regular expressions: a line in the log, written since the
	// start, that one of them matches means that it has failed.
	Fail []*regexp.Regexp

	// Timeout is how long it may take. Zero means 90 seconds, as systemd's
	// DefaultTimeoutStartSec=.
	Timeout time.Duration

	// Keep lets a daemon that does not become ready go on. Start then returns
	// it beside the error.
	Keep bool

	// Waiting, if not nil, is called once, from the goroutine of Start, when the
	// program runs and Start begins to wait. Other goroutines may use the
	// Process until Start returns, such as to stop it sooner than Start would.
	Waiting func(*Process) `json:"-"`

	// Progress, if not nil, is called while Start waits, a few times a second,
	// from its goroutine.
	Progress func(ReadyProgress) `json:"-"`
}

// ReadyProgress is what a daemon has reached.
type ReadyProgress struct {
	PID     int
	Elapsed time.Duration
	Waiting []Condition // what does not hold yet
	Status  string      // the last STATUS= that it sent, see sd_notify(3)
}

// Condition is something a daemon has to reach to be ready, or to be healthy.
// Its String is the command line's word for it. The types are Alive, Notify,
// NotifyFD, TCP and LogLine.
type Condition interface {
	fmt.Stringer
	condition()
}

// Alive holds if the daemon is still there after so long.
type Alive time.Duration

// Notify holds when a process of the daemon's session, or a descendant of the
// daemon, has sent READY=1 to the socket in NOTIFY_SOCKET, see sd_notify(3).
// ERRNO= means that it has failed, and EXTEND_TIMEOUT_USEC= extends the
// timeout.
//
// With Cmd.Restart or Cmd.Watchdog the socket is systemd's, for each process that
// is started again too. Any process of the unit may send there, and
// EXTEND_TIMEOUT_USEC= does not extend the timeout of Start. A process that was
// started again has ten seconds longer than that, or for ever with Keep, before
// systemd ends it.
type Notify struct{}

// NotifyFD holds when a newline has been written to this descriptor, which is
// a pipe (https://skarnet.org/software/s6/notifywhenup.html). It is 3 or more.
type NotifyFD int

// TCP, an address [HOST:]PORT, holds when a connection is accepted there and
// the listening socket belongs to the daemon: to a process of its session, or
// a descendant. An old server on the port is no success. HOST is an IP address
// or localhost, which is also the default.
type TCP string

// LogLine holds when a line of the daemon's log files, written since the
// start, matches. Of a line the first 65,536 bytes are looked at.
type LogLine struct{ *regexp.Regexp }

func (Alive) condition()    {}
func (Notify) condition()   {}
func (NotifyFD) condition() {}
func (TCP) condition()      {}
func (LogLine) condition()  {}

func (a Alive) String() string    { return "alive=" + time.Duration(a).String() }
func (Notify) String() string     { return "notify" }
func (n NotifyFD) String() string { return fmt.Sprintf("fd=%d", int(n)) }
func (t TCP) String() string      { return "tcp=" + string(t) }
func (l LogLine) String() string  { return "log=" + l.Regexp.String() }

// NotReadyError means that a daemon was started but did not become ready. It
// was stopped, unless Ready.Keep says otherwise.
//
// It wraps ErrExited if it ended first, even with exit status 0; ErrFailed if
// it said that it had failed; context.DeadlineExceeded at the timeout; and the
// error of the context that ended the wait.
type NotReadyError struct {
	Err     error
	Reason  string      // more of it, in words, or empty: "listening on port 25565 is PID 99"
	Exit    Exit        // if it has ended
	Waiting []Condition // what did not hold
	Status  string      // the last STATUS= that it sent
	Log     []string    // the last lines of its log, at most ten
}

func (e *NotReadyError) Error() string {
	var s string
	switch {
	case errors.Is(e.Err, ErrExited):
		s = "ended before it was ready: " + e.Exit.String()
	case errors.Is(e.Err, context.DeadlineExceeded):
		s = "not ready in time"
	case errors.Is(e.Err, context.Canceled):
		s = "given up"
	default:
		s = e.Err.Error()
	}
	if !errors.Is(e.Err, ErrExited) && len(e.Waiting) > 0 {
		s += ", still waiting for " + e.waiting()
	}
	if more := cmp.Or(e.Reason, e.Status); more != "" {
		s += ": " + quoteOdd(more)
	}
	return s
}

func (e *NotReadyError) waiting() string {
	words := make([]string, len(e.Waiting))
	for i, c := range e.Waiting {
		words[i] = quoteOdd(c.String())
	}
	return strings.Join(words, ", ")
}

func (e *NotReadyError) Unwrap() error { return e.Err }

// Check tells whether a condition holds of a daemon now: nil, or the reason
// why it does not. It takes TCP and LogLine, which looks at all lines since the
// start; of another condition the error is an errors.ErrUnsupported. Use it as
// a health check.
func (p *Process) Check(ctx context.Context, c Condition) error { return p.check(ctx, c) }
