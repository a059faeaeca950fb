package detach

import (
	"context"
	"time"
)

// Cmd is a program to be started as a daemon. It is a description only: Start
// does not change it, so it may be started again, and from several goroutines.
type Cmd struct {
	// Path is the program. Without a slash it is looked up in the PATH of the
	// daemon's environment (/usr/local/bin:/usr/bin:/bin if that has none).
	// A relative path is relative to Dir.
	Path string

	// Args are the arguments, Args[0] included, which is by convention the
	// name of the program. Empty means Path alone.
	Args []string

	// Env is the environment, each entry "key=value". Nil means Environ().
	// A list made by hand should start from Environ() and not from
	// os.Environ(), which holds variables that speak of the manager.
	Env []string

	// Dir is the working directory, and what every relative path in this
	// struct is relative to. Empty means the caller's.
	Dir string

	// Umask is the file mode creation mask, see umask(2). Nil means the
	// caller's with 022 added: predictable, and never looser than the caller's.
	Umask *int

	// Stdin is a file to read. Empty means /dev/null. A terminal, a FIFO or a
	// socket is refused; see Console.
	Stdin string

	// Stdout and Stderr are log files, opened for appending and created with
	// mode 0640; their directories have to exist. If one of them is empty both go to the other, and a file
	// named by both is opened once. A terminal, a FIFO or a socket is refused,
	// because it does not outlive its other end.
	//
	// If both are empty the caller's own are kept where they are a regular
	// file or /dev/null and open for writing; else they become /dev/null.
	Stdout, Stderr string

	// Console is a FIFO to be the standard input, for programs that take
	// commands there. It is created with mode 0600 if missing, and opened for
	// reading and writing so that it never reports end of file. It excludes
	// Stdin.
	Console string

	// PIDFile is where the daemon's PID is written, with a newline and nothing
	// else. Beside it, with ".json" appended, is the Record. Start refuses, with
	// a *RunningError, while the process that the file names is alive.
	// Empty means none.
	PIDFile string

	// StopConsole is the command that ends the program when it is written to
	// the Console, such as "stop". It is recorded, for Process.Stop.
	StopConsole string

	// Ready is when the daemon counts as started.
	Ready Ready

	// Via is how the daemon is held, so that it outlives its manager. The zero
	// value, ViaAuto, looks at what holds the caller.
	Via Via

	// User is who the daemon is to be: "USER" or "USER:GROUP", by names or
	// numbers; only root can, and not in a set-user-ID program. It has the
	// user's group, or the given one, the supplementary groups of /etc/group, no
	// capabilities and no way back. HOME, USER and LOGNAME are the user's,
	// unless Env has other values than the caller. Stdout, Stderr and Console are
	// handed over when they are made; such a file that there is already has to
	// be the user's. The PID file and the record stay the caller's. With it the
	// fork does not share the memory of the caller but copies its page tables,
	// which takes time where that is large. Empty means the caller.
	User string

	// Cgroup is the cgroup to enter, with ViaCgroup: a path as in
	// /proc/PID/cgroup, or the folder itself. It is made if it is missing, and
	// then Process.Stop removes it again. Empty means one made for the daemon.
	Cgroup string

	// Limits are what it may use.
	Limits Limits

	// Restart has systemd start the program again, a second after it has ended and
	// as often as it takes. It needs ViaSystemd, which ViaAuto then is; with the
	// others Start fails. For a command with odd words there is a file
	// exec.conf in a folder of the unit's name in /run/systemd/system (of a user
	// in systemd/user below the runtime folder), until the daemon has been
	// stopped.
	Restart Restart

	// Watchdog has systemd end the program, and start it again if Restart is
	// not empty, when it has not sent WATCHDOG=1 to $NOTIFY_SOCKET for so long,
	// see sd_watchdog_enabled(3). Zero is never, and the shortest is a
	// millisecond. It needs systemd as Restart does.
	Watchdog time.Duration

	// Strict makes every Hazard that Outlook tells an error, a *HazardError,
	// before anything is started.
	Strict bool

	// Manager is the PID of the process that the daemon is to outlive. Zero
	// means the caller; a launcher that a manager executes names its parent.
	// The daemon is checked not to be its child and reported if it is, see
	// Report.
	Manager int
}

// Command returns a Cmd to run the named program with the given arguments.
func Command(name string, arg ...string) *Cmd {
	return &Cmd{Path: name, Args: append([]string{name}, arg...)}
}

// Start starts the program detached from the caller and returns when it has
// been exec'd and verified, and is ready if Ready says when.
//
// As with os/exec, a child of another goroutine's start holds copies of this
// process's descriptors until its own exec, for some microseconds.
//
// The context bounds the time spent waiting: until the daemon is ready, and for
// another start with a PID file in the same directory (no more than 30 seconds,
// one takes milliseconds). It does not end the daemon later.
//
// The error is an *Error, and then nothing was left behind, unless Ready.Keep
// says so. Among the causes:
//
//   - fs.ErrNotExist and fs.ErrPermission for Op "find" and "exec": no such
//     program, or it may not be executed
//   - *RunningError: the PID file names a process that is alive
//   - ErrExited: the program ended before it could be verified
//   - *NotReadyError: the program did not become ready, and was stopped
//   - *HazardError: with Strict, what could still end or cripple the daemon
//   - errors.ErrUnsupported: not on Linux, or not with this Via
func (c *Cmd) Start(ctx context.Context) (*Process, error) {
	return c.start(ctx)
}

func (c *Cmd) args() []string {
	if len(c.Args) == 0 {
		return []string{c.Path}
	}
	return c.Args
}

func (c *Cmd) env() []string {
	if c.Env == nil {
		return Environ()
	}
	return c.Env
}
