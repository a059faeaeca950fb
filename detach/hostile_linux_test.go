package detach_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// The tests here start daemons from a manager, a process of its own, that is in
// a state which a daemon should not inherit. What became of it is read from
// /proc and from the files of the daemon.

// order is what a manager is told to do.
type order struct {
	Cmd        *detach.Cmd
	Starts     int    // 0: one
	Close      []int  // close these descriptors first
	NOFILE     uint64 // set this soft limit first
	IgnoreCHLD bool
	Reap       string // "", "wait4" or "__WALL": reap any child, in a loop
	Die        bool   // by SIGKILL, at the end
}

// outcome is what became of it.
type outcome struct {
	Error    string
	Step     string // Op of the error
	Errno    syscall.Errno
	Daemons  []daemon
	Signals  int  // SIGCHLD
	Children bool // there are some

	manager int // its PID
}

type daemon struct {
	Record detach.Record
	Report detach.Report
}

var _ = lab.Helper("manager", func(args []string) error {
	var o order
	data, err := os.ReadFile(args[0])
	if err == nil {
		err = json.Unmarshal(data, &o)
	}
	if err != nil {
		return err
	}
	result := o.carryOut()
	if data, err = json.Marshal(result); err != nil {
		return err
	}
	if err := os.WriteFile(args[1], data, 0o600); err != nil {
		return err
	}
	if o.Die {
		return unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	return nil
})

func (o order) carryOut() (result outcome) {
	if o.NOFILE != 0 {
		limit := syscall.Rlimit{Max: 2 * o.NOFILE, Cur: o.NOFILE}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return outcome{Error: err.Error()}
		}
	}
	children := make(chan os.Signal, 10_000)
	if o.IgnoreCHLD {
		signal.Ignore(unix.SIGCHLD)
	} else {
		signal.Notify(children, unix.SIGCHLD)
	}
	if o.Reap != "" {
		go reapForEver(map[string]int{"__WALL": unix.WALL}[o.Reap])
	}
	for _, fd := range o.Close {
		if err := unix.Close(fd); err != nil {
			return outcome{Error: err.Error()}
		}
	}
	for range max(o.Starts, 1) {
		p, err := o.Cmd.Start(context.Background())
		if err != nil {
			result.fail(err)
			return result
		}
		result.Daemons = append(result.Daemons, daemon{p.Record, p.Report})
		if o.Starts > 1 {
			if err := p.Kill(context.Background()); err != nil {
				result.fail(err)
				return result
			}
		}
		p.Close()
	}
	result.Signals = len(children)
	_, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
	result.Children = err != unix.ECHILD
	return result
}

func reapForEver(options int) {
	for {
		if _, err := unix.Wait4(-1, nil, options, nil); err == unix.ECHILD {
			runtime.Gosched()
		}
	}
}

func (r *outcome) fail(err error) {
	r.Error = err.Error()
	if e, ok := err.(*detach.Error); ok {
		r.Step = e.Op
		r.Errno, _ = e.Err.(syscall.Errno)
	}
}

// manager is a manager to be started: in a hostile state, and with files for 0,
// 1 and 2 in a folder of its own.
func manager(t *testing.T, o order, hostile ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	cmd := *o.Cmd
	if cmd.Dir == "" {
		cmd.Dir = dir
	}
	o.Cmd = &cmd
	data, err := json.Marshal(o)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "order"), data, 0o600))
	m := lab.HelperCommand(t, "manager", filepath.Join(dir, "order"), filepath.Join(dir, "outcome"))
	m.Dir = dir
	if len(hostile) > 0 {
		m.Path = lab.Build(t, "detach/lab/hostile")
		m.Args = slices.Concat([]string{m.Path}, hostile, m.Args)
	}
	return m
}

// managed runs a manager and takes hold of its daemons.
func managed(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	ran := cmd.Run()
	var result outcome
	data, err := os.ReadFile(filepath.Join(cmd.Dir, "outcome"))
	require.NoError(t, err, ran)
	require.NoError(t, json.Unmarshal(data, &result))
	if len(result.Daemons) == 1 {
		lab.Hold(t, result.Daemons[0].Record.PID)
	}
	result.manager = cmd.Process.Pid
	return result
}

// startedBy is managed for one daemon that runs and passes all checks.
func startedBy(t *testing.T, cmd *exec.Cmd) (pid int, status lab.Status) {
	t.Helper()
	result := managed(t, cmd)
	require.Empty(t, result.Error)
	require.Len(t, result.Daemons, 1)
	require.True(t, result.Daemons[0].Report.OK())
	require.Empty(t, result.Daemons[0].Report.Hazards)
	require.Zero(t, result.Signals, "SIGCHLD")
	require.False(t, result.Children)
	pid = result.Daemons[0].Record.PID
	lab.AwaitExec(t, pid)
	status, ok := lab.ReadStatus(pid)
	require.True(t, ok)
	return pid, status
}

func sleeper() *detach.Cmd { return detach.Command("sleep", "1000") }

func TestSignalsAreReset(t *testing.T) {
	const none = "0000000000000000"
	for _, hostile := range [][]string{{"-ignore-all"}, {"-block-all"}, {"-ignore-all", "-block-all"}} {
		t.Run(strings.Join(hostile, " "), func(t *testing.T) {
			_, s := startedBy(t, manager(t, order{Cmd: sleeper()}, hostile...))
			require.Equal(t, none, s["SigIgn"])
			require.Equal(t, none, s["SigBlk"])
			require.Equal(t, none, s["SigCgt"])
		})
	}
}

// The manager closes them itself: those that were closed when it was started Go
// has opened again.
func TestClosedStdio(t *testing.T) {
	for name, c := range map[string]struct {
		cmd  detach.Cmd
		want [3]string // "" is what the manager has
	}{
		"no logs":     {detach.Cmd{}, [3]string{"/dev/null", "", ""}},
		"Stdout":      {detach.Cmd{Stdout: "o.log"}, [3]string{"/dev/null", "o.log", "o.log"}},
		"Stderr":      {detach.Cmd{Stderr: "e.log"}, [3]string{"/dev/null", "e.log", "e.log"}},
		"both":        {detach.Cmd{Stdout: "o.log", Stderr: "e.log"}, [3]string{"/dev/null", "o.log", "e.log"}},
		"all of them": {detach.Cmd{Stdin: "order", Stdout: "o.log", Stderr: "e.log"}, [3]string{"order", "o.log", "e.log"}},
		"console":     {detach.Cmd{Console: "fifo", Stderr: "o.log"}, [3]string{"fifo", "o.log", "o.log"}},
	} {
		for _, closed := range lab.Closings {
			t.Run(fmt.Sprint(name, closed), func(t *testing.T) {
				c.cmd.Path, c.cmd.Args = "sh", []string{"sh", "-c", `echo out; echo err >&2; exec sleep 1000`}
				c.cmd.PIDFile = "pid"
				cmd := manager(t, order{Cmd: &c.cmd, Close: closed})
				lab.GiveFiles(t, cmd)
				pid, _ := startedBy(t, cmd)
				lab.RequireStdio(t, pid, cmd.Dir, closed, c.want)
				lab.AwaitContent(t, fmt.Sprintln(pid), cmd.Dir, "pid")
			})
		}
	}
}

var nothing = [3]string{os.DevNull, os.DevNull, os.DevNull}

func TestInheritedDescriptors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	socket, err := listener.(*net.TCPListener).File()
	require.NoError(t, err)
	cmd := manager(t, order{Cmd: sleeper()}, "-fds", "200", "-high-fd", "1000", "-nofile", "500:500")
	cmd.ExtraFiles = []*os.File{socket}
	pid, _ := startedBy(t, cmd)
	lab.AwaitDescriptors(t, pid, nothing)

	require.NoError(t, listener.Close())
	require.NoError(t, socket.Close())
	again, err := net.Listen("tcp", listener.Addr().String())
	require.NoError(t, err, "the daemon still listens")
	require.NoError(t, again.Close())
}

func TestUmask(t *testing.T) {
	for _, c := range []struct {
		manager string
		umask   *int
		daemon  string
		log     os.FileMode
	}{
		{"077", nil, "0077", 0o600},
		{"000", nil, "0022", 0o640},
		{"002", nil, "0022", 0o640},
		{"022", new(0), "0000", 0o640},
		{"077", new(0o027), "0027", 0o600},
	} {
		t.Run(c.manager+" "+c.daemon, func(t *testing.T) {
			cmd := sleeper()
			cmd.Umask, cmd.Stdout = c.umask, "log"
			m := manager(t, order{Cmd: cmd}, "-umask", c.manager)
			_, s := startedBy(t, m)
			require.Equal(t, c.daemon, s["Umask"])
			info, err := os.Stat(filepath.Join(m.Dir, "log"))
			require.NoError(t, err)
			require.Equal(t, c.log, info.Mode().Perm())
		})
	}
}

// Package syscall raises the limit when it is initialised. The daemon has the
// manager's original one, unless the manager has set another.
func TestNOFILE(t *testing.T) {
	var ours syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &ours))
	for _, c := range []struct {
		caller     string
		set        uint64
		soft, hard uint64
	}{
		{"1024", 0, 1024, ours.Max},
		{"512:1024", 0, 512, 1024},
		{"1024:1024", 0, 1024, 1024},
		{"1024", 700, 700, 1400},
	} {
		t.Run(fmt.Sprint(c.caller, " ", c.set), func(t *testing.T) {
			pid, _ := startedBy(t, manager(t, order{Cmd: sleeper(), NOFILE: c.set}, "-nofile", c.caller))
			soft, hard := lab.NOFILE(t, pid)
			require.Equal(t, fmt.Sprint(c.soft, c.hard), fmt.Sprint(soft, hard))
		})
	}
}

// However the manager deals with its children, no SIGCHLD comes of a start, no
// child is left, and nobody else's wait4 takes one away.
func TestChildrenOfTheManager(t *testing.T) {
	for name, o := range map[string]order{
		"SIGCHLD is waited for":   {},
		"SIGCHLD is ignored":      {IgnoreCHLD: true},
		"all children are reaped": {Reap: "wait4"},
		"clones are reaped too":   {Reap: "__WALL"},
	} {
		t.Run(name, func(t *testing.T) {
			o.Cmd, o.Starts = sleeper(), 200
			result := managed(t, manager(t, o))
			require.Empty(t, result.Error)
			require.Len(t, result.Daemons, o.Starts)
			for _, d := range result.Daemons {
				require.True(t, d.Report.OK())
				require.NoDirExists(t, fmt.Sprintf("/proc/%d", d.Record.Session), "the process between")
			}
			require.Zero(t, result.Signals)
			require.False(t, result.Children)
		})
	}
	t.Run("SIGCHLD was ignored", func(t *testing.T) {
		startedBy(t, manager(t, order{Cmd: sleeper()}, "-ignore-chld"))
	})
}

func TestManagerIsSubreaper(t *testing.T) {
	result := managed(t, manager(t, order{Cmd: sleeper()}, "-subreaper"))
	require.Empty(t, result.Error)
	report := result.Daemons[0].Report
	require.Len(t, report.Hazards, 1)
	require.Equal(t, detach.HazardReaper, report.Hazards[0].Code)
	require.Contains(t, report.Hazards[0].Text, fmt.Sprintf("the manager, PID %d, is a subreaper", result.manager))
	require.NotEmpty(t, report.Hazards[0].Remedy)
	for _, check := range report.Checks {
		require.Equal(t, check.Name != "parent", check.OK, check)
	}
	require.True(t, lab.Alive(result.Daemons[0].Record.PID))
}

func TestManagerIsKilled(t *testing.T) {
	runtime.LockOSThread() // its end would be the parent's death
	defer runtime.UnlockOSThread()
	for _, hostile := range [][]string{{}, {"-pdeathsig", "9"}, {"-pdeathsig", "9", "-subreaper"}} {
		t.Run(strings.Join(hostile, " "), func(t *testing.T) {
			cmd := manager(t, order{Cmd: sleeper(), Die: true}, hostile...)
			result := managed(t, cmd)
			require.Equal(t, "signal: killed", cmd.ProcessState.String())
			pid := result.Daemons[0].Record.PID
			require.True(t, lab.Alive(pid))
			s, _ := lab.ReadStatus(pid)
			require.NotEqual(t, result.manager, s.Int(t, "PPid"))
		})
	}
}

func TestTerminal(t *testing.T) {
	master, tty, err := pty.Open()
	require.NoError(t, err)
	defer master.Close()
	defer tty.Close()
	daemon := detach.Command("sh", "-c", `true </dev/tty; exec 3<>"$0"; exec sleep 1000`, tty.Name())
	daemon.Stdout = "log"
	cmd := manager(t, order{Cmd: daemon})
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	pid, s := startedBy(t, cmd)
	lab.Until(t, "the program to have opened the terminal", func() bool {
		return lab.Descriptors(t, pid)[3] == tty.Name()
	})
	said, err := os.ReadFile(filepath.Join(cmd.Dir, "log"))
	require.NoError(t, err)
	require.Contains(t, string(said), "/dev/tty: No such device or address")
	require.NotEqual(t, pid, s.Int(t, "NSsid"))
	require.NotEqual(t, pid, s.Int(t, "NSpgid"))
	require.NotEqual(t, cmd.Process.Pid, s.Int(t, "NSsid"))
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	require.Equal(t, "0", fields[7-3], "tty_nr")
}

func TestRemovedDirectory(t *testing.T) {
	cmd := sleeper()
	cmd.Dir = "." // as it is, where the test would give one
	pid, _ := startedBy(t, manager(t, order{Cmd: cmd}, "-removed-dir"))
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(cwd, " (deleted)"), cwd)
}

func TestEnvironment(t *testing.T) {
	own := []string{"PATH=/usr/bin:/bin", "A=a=b", "EMPTY="}
	managers := []string{
		"NOTIFY_SOCKET=/run/x", "LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=x", "WATCHDOG_PID=1", "WATCHDOG_USEC=1",
		"MAINPID=1", "MANAGERPID=1", "SYSTEMD_EXEC_PID=1", "INVOCATION_ID=x", "JOURNAL_STREAM=1:1",
	}
	for name, c := range map[string]struct{ env, want []string }{
		"nil is Environ": {nil, own},
		"a list is all":  {[]string{"NOTIFY_SOCKET=own", "LISTEN_FDS=0"}, []string{"NOTIFY_SOCKET=own", "LISTEN_FDS=0"}},
		"an empty list":  {[]string{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := sleeper()
			cmd.Env = c.env
			m := manager(t, order{Cmd: cmd})
			m.Env = slices.Concat(own, managers, m.Env[len(m.Env)-2:]) // the last two make it a helper
			pid, _ := startedBy(t, m)
			requireStrings(t, c.want, pid, "environ")
		})
	}
}

func TestMegabyteOfArguments(t *testing.T) {
	cmd := detach.Command("sh", "-c", "read line", "", "two words", "new\nline", "-o", "$HOME")
	cmd.Console = "fifo"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NO_VALUE", "LINES=a\nb"}
	for i := range 10 {
		cmd.Args = append(cmd.Args, strings.Repeat(string(rune('a'+i)), 100_000))
		cmd.Env = append(cmd.Env, fmt.Sprintf("BIG_%d=%s", i, strings.Repeat("x", 100_000)))
	}
	pid, _ := startedBy(t, manager(t, order{Cmd: cmd}))
	requireStrings(t, cmd.Args, pid, "cmdline")
	requireStrings(t, cmd.Env, pid, "environ")
}

func requireStrings(t *testing.T, want []string, pid int, name string) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	require.NoError(t, err)
	got := strings.Split(string(data), "\x00")
	require.True(t, slices.Equal(append(slices.Clone(want), ""), got), "%.1000q", got)
}

// MAX_ARG_STRLEN: no single string may be longer than 128 KiB.
func TestArgumentIsTooLong(t *testing.T) {
	for name, change := range map[string]func(*detach.Cmd){
		"argument": func(c *detach.Cmd) { c.Args = append(c.Args, strings.Repeat("x", 128<<10)) },
		"variable": func(c *detach.Cmd) { c.Env = []string{"PATH=/usr/bin:/bin", "X=" + strings.Repeat("x", 128<<10)} },
	} {
		t.Run(name, func(t *testing.T) {
			cmd := sleeper()
			cmd.PIDFile = "pid"
			change(cmd)
			m := manager(t, order{Cmd: cmd})
			result := managed(t, m)
			require.Equal(t, "exec", result.Step)
			require.Equal(t, unix.E2BIG, result.Errno)
			require.Empty(t, result.Daemons)
			require.False(t, result.Children)
			entries, err := os.ReadDir(m.Dir)
			require.NoError(t, err)
			require.Len(t, entries, 2, "the order and the outcome")
		})
	}
}
