package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// attempt is a start in a folder of its own that is to fail.
type attempt struct {
	t     *testing.T
	dir   string
	mark  string // an argument of the daemon, to find it by
	began uint64 // clock ticks after boot: what is older is not of it

	chain []string // what is to exec the daemon
}

func newAttempt(t *testing.T) *attempt {
	a := &attempt{t: t, dir: t.TempDir(), mark: lab.Mark(), began: ticks(t)}
	// The test becomes the parent of whatever is left.
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	t.Cleanup(func() {
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
		for _, pid := range lab.WithArgument(t, a.mark) {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, 0, nil)
		}
	})
	return a
}

// run runs "prefix detach flags -- sleep mark" and returns the exit status and what
// was said on standard error.
func (a *attempt) run(prefix []string, flags ...string) (status int, stderr string) {
	a.t.Helper()
	args := slices.Concat(prefix, []string{lab.Bin(a.t, "detach")}, flags, []string{"--"}, a.chain, []string{"sleep", a.mark})
	// strace waits for a daemon that should not be there: end it, and fail.
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = a.dir
	var out bytes.Buffer
	cmd.Stderr = &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(a.t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// requireNothingLeft checks for processes, zombies and files.
func (a *attempt) requireNothingLeft(files ...string) {
	a.t.Helper()
	require.Empty(a.t, lab.WithArgument(a.t, a.mark))
	require.Empty(a.t, a.children(), "processes are left")
	require.ElementsMatch(a.t, files, a.files())
}

// children are the processes that have become this one's since the attempt was
// made. What an earlier test has left, such as the end of a lab, may come too.
func (a *attempt) children() (pids []string) {
	a.t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(a.t, err)
	for _, file := range stats {
		fields := statFields(file)
		if len(fields) > 19 && fields[1] == strconv.Itoa(os.Getpid()) { // (4) ppid
			start, err := strconv.ParseUint(fields[19], 10, 64) // (22) starttime
			require.NoError(a.t, err)
			if start >= a.began {
				pids = append(pids, strings.Split(file, "/")[2])
			}
		}
	}
	return pids
}

// statFields are the fields of a stat file from the third on, none if the
// process has gone.
func statFields(file string) []string {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}

// ticks is the time since the boot as processes have it for their start.
func ticks(t *testing.T) uint64 {
	t.Helper()
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_BOOTTIME, &now))
	return uint64(now.Nano() / 1e7)
}

// reapKilled takes the place of init for a daemon that ran and was killed.
func (a *attempt) reapKilled() {
	a.t.Helper()
	var status unix.WaitStatus
	_, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOHANG, nil)
	require.NoError(a.t, err)
	require.Equal(a.t, unix.SIGKILL, status.Signal())
}

func (a *attempt) files() []string {
	a.t.Helper()
	entries, err := os.ReadDir(a.dir)
	require.NoError(a.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// strace returns the prefix that makes system calls fail in the built binary.
func strace(t *testing.T, injections ...string) []string {
	t.Helper()
	prefix := []string{lab.Program(t, "strace"), "-f", "-qq", "-o", "/dev/null"}
	for _, i := range injections {
		prefix = append(prefix, "-e", "inject="+i)
	}
	return prefix
}

// forbid returns the prefix that makes a system call fail if the bits mask of
// an argument are value: what strace cannot tell apart.
func forbid(t *testing.T, call, arg int, mask, value uint32, errno syscall.Errno) []string {
	t.Helper()
	prefix := []string{lab.Build(t, "detach/lab/forbid")}
	for _, n := range []int{call, arg, int(mask), int(value), int(errno)} {
		prefix = append(prefix, strconv.Itoa(n))
	}
	return prefix
}

// forbidClone makes one of detach's two clones fail, and none of the runtime's.
func forbidClone(t *testing.T, kind uint32) []string {
	t.Helper()
	return forbid(t, unix.SYS_CLONE, 0, unix.CLONE_FILES|unix.CLONE_PIDFD|unix.CLONE_THREAD, kind, unix.EAGAIN)
}

func TestInjectedFaults(t *testing.T) {
	flags := []string{"-p", "x.pid", "-o", "x.log"}
	for name, c := range map[string]struct {
		prefix func(*testing.T) []string
		flags  []string
		stderr string // all of it, or its first line
		log    bool   // an empty log is left
		killed bool   // the daemon had been started
	}{
		"first fork": {
			prefix: func(t *testing.T) []string { return forbidClone(t, unix.CLONE_FILES) },
			stderr: "detach: fork: resource temporarily unavailable", log: true},
		"second fork": {
			prefix: func(t *testing.T) []string { return forbidClone(t, unix.CLONE_PIDFD) },
			stderr: "detach: second fork: resource temporarily unavailable", log: true},
		"setsid": {
			prefix: func(t *testing.T) []string { return strace(t, "setsid:error=EPERM") },
			stderr: "detach: setsid: operation not permitted", log: true},
		"chdir": {
			prefix: func(t *testing.T) []string { return strace(t, "chdir:error=EACCES") },
			flags:  []string{"-C", "."},
			stderr: "detach: chdir .: permission denied", log: true},
		"dup of stdin": {
			prefix: func(t *testing.T) []string { return strace(t, "dup3:error=EBUSY:when=1") },
			stderr: "detach: dup onto stdin: device or resource busy", log: true},
		"dup of stdout": {
			prefix: func(t *testing.T) []string { return strace(t, "dup3:error=EBUSY:when=2") },
			stderr: "detach: dup onto stdout x.log: device or resource busy", log: true},
		"dup of stderr": {
			prefix: func(t *testing.T) []string { return strace(t, "dup3:error=EBUSY:when=3") },
			stderr: "detach: dup onto stderr x.log: device or resource busy", log: true},
		"close_range": {
			prefix: func(t *testing.T) []string { return strace(t, "close_range:error=EIO") },
			stderr: "detach: close descriptors: input/output error", log: true},
		"close_range and its fall-back": {
			prefix: func(t *testing.T) []string {
				return strace(t, "close_range:error=ENOSYS", "getdents64:error=EIO")
			},
			stderr: "detach: close descriptors: input/output error", log: true},
		"rename of the PID file": {
			prefix: func(t *testing.T) []string { return strace(t, "renameat2:error=EROFS") },
			stderr: "detach: rename PID file x.pid: read-only file system", log: true},
		"exec": {
			prefix: func(t *testing.T) []string { return strace(t, "execve:error=ENOMEM:when=1") },
			stderr: "detach: exec " + which(t, "sleep") + ": cannot allocate memory", log: true},
		"report pipe": {
			prefix: func(t *testing.T) []string { return strace(t, "pipe2:error=EMFILE") },
			stderr: "detach: fork: too many open files", log: true},
		"lock": {
			prefix: func(t *testing.T) []string { return strace(t, "flock:error=ENOLCK") },
			stderr: "detach: lock .: no locks available"},
		"space for the record": {
			prefix: func(t *testing.T) []string { return strace(t, "pwrite64:error=ENOSPC") },
			stderr: "detach: write x.pid.json: no space left on device"},
		"space for the record after the start": {
			prefix: func(t *testing.T) []string { return strace(t, "ftruncate:error=ENOSPC") },
			stderr: "detach: write x.pid.json: no space left on device", log: true, killed: true},
		"rename of the record after the start": {
			prefix: func(t *testing.T) []string { return strace(t, "/^renameat$:error=EIO") },
			stderr: "detach: write x.pid.json: input/output error", log: true, killed: true},
		"console": {
			prefix: func(t *testing.T) []string { return strace(t, "/^mknod:error=EPERM") },
			flags:  []string{"--console", "x.in"},
			stderr: "detach: create FIFO x.in: operation not permitted"},
		"/proc": {
			prefix: func(t *testing.T) []string { return strace(t, "/^readlink:error=ENOENT") },
			stderr: "detach: verify /proc: no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t)
			status, stderr := a.run(c.prefix(t), append(flags, c.flags...)...)
			first, _, _ := strings.Cut(stderr, "\n")
			require.Equal(t, c.stderr, first, stderr)
			if strings.HasPrefix(c.stderr, "detach: exec") {
				require.Equal(t, statusCannotRun, status)
			} else {
				require.Equal(t, statusFailed, status)
			}
			var left []string
			if c.log {
				left = []string{"x.log"}
			}
			if c.killed {
				a.reapKilled()
			}
			a.requireNothingLeft(left...)
		})
	}
}

func which(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	require.NoError(t, err)
	return path
}

// Where close_range is missing or forbidden the fall-back does the same.
func TestWithoutCloseRange(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM, unix.EINVAL} {
		t.Run(errno.Error(), func(t *testing.T) {
			a := newAttempt(t)
			status, stderr := a.run(forbid(t, unix.SYS_CLOSE_RANGE, 0, 0, 0, errno), "-p", "x.pid")
			require.Zero(t, status, stderr)
			// Its dynamic linker opens and closes files at first.
			lab.Until(t, "three descriptors", func() bool { return len(lab.Descriptors(t, a.pid("x.pid"))) == 3 })
		})
	}
}

// pid returns what a PID file says.
func (a *attempt) pid(name string) int {
	a.t.Helper()
	data, err := os.ReadFile(filepath.Join(a.dir, name))
	require.NoError(a.t, err)
	pid, err := strconv.Atoi(strings.TrimSuffix(string(data), "\n"))
	require.NoError(a.t, err)
	return pid
}
