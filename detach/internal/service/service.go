// Package service is what package detach asks of a service manager. Package
// detach/systemd does it by D-Bus and registers itself here, as the drivers of
// database/sql do: who does not import that one does not link D-Bus.
package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Spec is a service to be started. Nothing in it is expanded or searched.
type Spec struct {
	Unit        string // such as "detach-server-0123456789abcdef.service"
	Description string
	Path        string // absolute
	Args        []string
	Env         []string // all of it, each name once
	Dir         string   // absolute
	Umask       int
	Stdio       [3]int // descriptors
	Limits      []Limit
	Nice        *int // nil leaves it to the service manager
	OOMScoreAdj *int // the same

	// User is a number, as are Group and Groups, the supplementary ones. Empty
	// is that of the service manager.
	User, Group string
	Groups      []string

	Supervised bool // it is started again when its main process has ended; Properties have its files, not Stdio
	Watched    bool // it is told where to notify systemd

	// Notifies means that it is active when it has sent READY=1 to systemd, for
	// which it has StartTimeout, 0 for as long as it likes. Start does not wait
	// for that.
	Notifies     bool
	StartTimeout time.Duration

	// Properties are what else the unit is to have, as D-Bus has them.
	Properties []Property
}

// PlainWords tells whether every version of systemd reads the command again as it
// has written it.
func (s *Spec) PlainWords() bool {
	odd := func(r rune) bool { return !IsPlain(r) }
	return !strings.ContainsFunc(s.Path, odd) && !slices.ContainsFunc(s.Args, func(word string) bool {
		return strings.ContainsFunc(strings.ReplaceAll(word, " ", ""), odd)
	})
}

// IsPlain tells whether a character needs no quotes, see systemd.syntax(7).
func IsPlain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@+=:,./-", r)
}

// Limit is a resource limit, see setrlimit(2).
type Limit struct {
	Name       string // such as "NOFILE"
	Soft, Hard uint64 // math.MaxUint64 for none
}

// Property is a property of a unit, such as MemoryMax and a uint64.
type Property struct {
	Name  string
	Value any
}

// Unit is what the service manager knows of a unit.
type Unit struct {
	Active string // ActiveState: "active", "activating", "inactive", "failed", ...
	Queued bool   // it has a job, such as to be started
	PID    int    // of the main process, 0 if there is none
	Was    int    // of the main process, also when it has ended
	Result string // "success", "exit-code", "signal", "oom-kill", ...
	Code   int    // CLD_EXITED, CLD_KILLED or CLD_DUMPED once the main process has ended, see waitid(2)
	Status int    // its exit status, or the signal

	Restart  string // when its program is started again: "no", "always", "on-failure", ...
	Notifies bool   // as in Spec: until it is "active" it is "activating"
	Text     string // the last STATUS= that it sent, see sd_notify(3)
	Errno    int    // the last ERRNO=
}

// Runs tells whether its program does, for all that is known: one that notifies
// has been executed long before it is active.
func (u Unit) Runs() bool {
	return u.PID > 0 && (u.Active == "active" || u.Notifies && u.Active == "activating")
}

// Gone tells whether nothing of the unit runs or is about to.
func (u Unit) Gone() bool { return (u.Active == "inactive" || u.Active == "failed") && !u.Queued }

// Manager is a connection to a service manager. Every call ends within
// Patience, or with its context.
type Manager interface {
	// Start starts a service and returns the PID of its main process once the
	// program has been executed. The unit is kept until Close, so that Look
	// tells how it ended, unless there is no bus to keep it by.
	//
	// The error is ErrExists, *FailedError or *UnansweredError, or another one
	// if the service was refused. Nothing runs, except after *UnansweredError.
	Start(ctx context.Context, s *Spec) (pid int, err error)

	// Look returns the state of a unit. One that there is not is "inactive".
	Look(ctx context.Context, unit string) (Unit, error)

	// Keep keeps the unit from being forgotten when it ends, until Close.
	Keep(ctx context.Context, unit string) error

	// MayStop tells by an error if Stop would be refused.
	MayStop(ctx context.Context, unit string) error

	// Stop ends all of a unit, waits for that, and makes sure that it is
	// forgotten. It is a success if there is no such unit.
	Stop(ctx context.Context, unit string) error

	// KillMode returns the KillMode= of a service or scope, see
	// systemd.kill(5).
	KillMode(ctx context.Context, unit string) (string, error)

	// Peer returns the PID, here, of who has made the socket that was connected
	// to: the service manager, as a rule. 0 is somebody in a PID namespace that
	// is not seen from here, in which PIDs are other ones; -1 is not known.
	Peer() int

	Close()
}

// Sessions is a connection to logind, see org.freedesktop.login1(5).
type Sessions interface {
	// KillsProcesses tells whether logind ends a user's processes at the end
	// of a session: KillUserProcesses= in logind.conf(5), and whom it excludes.
	KillsProcesses(ctx context.Context, user int) (bool, error)

	// Lingers tells whether the service manager of a user goes on when the
	// user has logged out.
	Lingers(ctx context.Context, user int) (bool, error)

	Close()
}

// Driver connects.
type Driver interface {
	// Connect connects to the service manager of a user, 0 for that of the
	// machine.
	Connect(ctx context.Context, user int) (Manager, error)

	Sessions(ctx context.Context) (Sessions, error)
}

var (
	// ErrNotLinked means that there is no driver.
	ErrNotLinked error = notLinked{}

	// ErrExists means that a unit of that name is loaded already.
	ErrExists = errors.New("there is a unit of this name")
)

type notLinked struct{}

func (notLinked) Error() string {
	return `this program has no D-Bus in it: import _ "github.com/detachkit/detach/detach/systemd"`
}
func (notLinked) Unwrap() error { return errors.ErrUnsupported }

// FailedError means that the service ended before systemd had seen the program
// executed: it was not, or it ended at once.
type FailedError struct {
	Result string // of the job: "failed", "timeout", "canceled", ...
	Unit          // how the process ended, if that is known
}

func (e *FailedError) Error() string { return "systemd could not start it: " + e.Result }

// UnansweredError means that a service was asked for and there was no answer:
// it may run, now or later.
type UnansweredError struct {
	Unit string
	Err  error
}

func (e *UnansweredError) Error() string {
	return "systemd was asked to start " + e.Unit + " and has not answered: " + e.Err.Error()
}
func (e *UnansweredError) Unwrap() error { return e.Err }

var driver atomic.Pointer[Driver]

// Register makes a driver the one that Connect uses.
func Register(d Driver) { driver.Store(&d) }

// Connect connects to the service manager of a user, 0 for that of the
// machine.
func Connect(ctx context.Context, user int) (Manager, error) {
	if d := driver.Load(); d != nil {
		return (*d).Connect(ctx, user)
	}
	return nil, ErrNotLinked
}

// ConnectSessions connects to logind.
func ConnectSessions(ctx context.Context) (Sessions, error) {
	if d := driver.Load(); d != nil {
		return (*d).Sessions(ctx)
	}
	return nil, ErrNotLinked
}

// Unregister is for tests: there is no driver then. It returns the one that
// there was.
func Unregister() Driver {
	if d := driver.Swap(nil); d != nil {
		return *d
	}
	return nil
}
