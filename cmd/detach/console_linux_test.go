package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// listener starts a daemon that says what it has read from its console, as
// "got <LINE>", and ends with status 3 at "stop".
func listener(t *testing.T) (*detach.Process, *lab.Held) {
	t.Helper()
	return consoleDaemon(t, "sh", "-c", `echo up; while read -r line; do echo "got <$line>"; [ "$line" = stop ] && exit 3; done`)
}

func consoleDaemon(t *testing.T, name string, args ...string) (*detach.Process, *lab.Held) {
	t.Helper()
	cmd := detach.Command(name, args...)
	cmd.Dir, cmd.PIDFile, cmd.Stdout, cmd.Console = t.TempDir(), "pid", "log", "in"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p, lab.Hold(t, p.PID)
}

// operator sits at a terminal that runs detach console.
type operator struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	tty    *os.File
	before unix.Termios
	screen said
}

func newOperator(t *testing.T, p *detach.Process) *operator {
	t.Helper()
	o := &operator{t: t, cmd: exec.Command(lab.Bin(t, "detach"), "console", "pid")}
	master, tty, err := pty.Open()
	require.NoError(t, err)
	defer master.Close()
	// One whose closing ends a read of it, too.
	pollable, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	require.NoError(t, err)
	require.NoError(t, unix.SetNonblock(pollable, true))
	o.master, o.tty = os.NewFile(uintptr(pollable), master.Name()), tty
	t.Cleanup(func() { o.master.Close(); o.tty.Close() })
	o.before = o.settings()
	o.cmd.Dir = p.Record.Dir
	o.cmd.Stdin, o.cmd.Stdout, o.cmd.Stderr = o.tty, o.tty, o.tty
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, o.cmd.Start())
	lab.Hold(t, o.cmd.Process.Pid)
	go func() { _, _ = io.Copy(&o.screen, o.master) }()
	return o
}

func (o *operator) settings() unix.Termios {
	settings, err := unix.IoctlGetTermios(int(o.tty.Fd()), unix.TCGETS)
	require.NoError(o.t, err)
	return *settings
}

func (o *operator) types(keys string) {
	o.t.Helper()
	_, err := o.master.WriteString(keys)
	require.NoError(o.t, err)
}

func (o *operator) sees(text string) {
	o.t.Helper()
	o.screen.await(o.t, text)
}

// leaves waits for the end of detach, which leaves the terminal as it was.
func (o *operator) leaves(status int) {
	o.t.Helper()
	_ = o.cmd.Wait()
	require.Equal(o.t, status, o.cmd.ProcessState.ExitCode(), "%s: %s", o.cmd.ProcessState, &o.screen)
	require.Equal(o.t, o.before, o.settings())
}

func TestConsoleOfGameServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	argv := lab.GameServer(t, dir)
	cmd := detach.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.PIDFile, cmd.Console, cmd.Stdout = dir, "pid", "in", "log"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer p.Close()
	server := lab.Hold(t, p.PID)
	o := newOperator(t, p)
	o.sees(`For help, type "help"`)
	o.types("say hello\n")
	o.sees("[Server] hello")
	o.types("stop\n")
	o.sees("All dimensions are saved")
	o.leaves(0)
	o.sees("\r\nPID file pid: ended, ")
	require.False(t, server.Alive())
}

func TestConsoleIsLeft(t *testing.T) {
	for name, keys := range map[string]string{
		"Ctrl-C":              "\x03",
		"Ctrl-C in a line":    "never sent\x03",
		"Ctrl-D":              "\x04",
		"Ctrl-D after a line": "typed\x04\x04",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, daemon := listener(t)
			o := newOperator(t, p)
			o.sees("up\r\n")
			o.types("hello\n")
			o.sees("got <hello>\r\n")
			o.types(keys)
			o.leaves(0)
			require.True(t, daemon.Alive())
			want := "up\ngot <hello>\n"
			if strings.HasPrefix(keys, "typed") {
				want += "got <typed>\n"
			}
			lab.AwaitContent(t, want, p.Record.Stdout)
		})
	}
}

// Its terminal is closed: it ends as every program there, and nothing else does.
func TestConsoleHungUp(t *testing.T) {
	p, daemon := listener(t)
	o := newOperator(t, p)
	o.sees("up\r\n")
	require.NoError(t, o.tty.Close())
	require.NoError(t, o.master.Close())
	_ = o.cmd.Wait()
	require.True(t, daemon.Alive())
}

// How it ended is told on a line of its own.
func TestConsoleDaemonEnds(t *testing.T) {
	p, daemon := consoleDaemon(t, "sh", "-c", "printf 'a prompt> '; exec sleep 1000")
	o := newOperator(t, p)
	o.sees("a prompt> ")
	require.NoError(t, daemon.Signal(unix.SIGKILL))
	o.leaves(0)
	o.sees("a prompt> \r\nPID file pid: ended, ")
}

// A line that cannot be sent is an error of that line only.
func TestConsoleLineTooLong(t *testing.T) {
	p, daemon := listener(t)
	for name, long := range map[string]string{
		"a line of 4096 bytes, and 4095 is the most: message too long": strings.Repeat("x", 4096),
		"detach: send to ":   strings.Repeat("x", 3*longestTyped),
		"more than one line": "a\x00b",
	} {
		cmd := exec.Command(lab.Bin(t, "detach"), "console", "-n", "0", p.Record.PIDFile)
		cmd.Stdin = strings.NewReader("first\n" + long + "\nsecond\r\n\nthird")
		var stdout, stderr said
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.Error(t, cmd.Run())
		require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
		require.Contains(t, stderr.String(), name)
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), &stderr)
		lab.Until(t, "the last line", func() bool { return lab.Contains(p.Record.Stdout, "got <third>\n") })
		require.Equal(t, "up\ngot <first>\ngot <second>\ngot <>\ngot <third>\n", lab.Content(t, p.Record.Stdout))
		require.NoError(t, os.Truncate(p.Record.Stdout, 0))
		add(t, p.Record.Stdout, "up\n")
	}
	require.True(t, daemon.Alive())
}

// A script gets its answers, and is told of what came too late.
func TestConsoleOfScript(t *testing.T) {
	p, daemon := listener(t)
	cmd := exec.Command(lab.Bin(t, "detach"), "console", p.Record.PIDFile)
	cmd.Stdin = strings.NewReader("say hi\nstop\ntoo late\n")
	var stdout, stderr said
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.Error(t, cmd.Run())
	require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
	require.Equal(t, "up\ngot <say hi>\ngot <stop>\n", stdout.String())
	require.Contains(t, stderr.String(), "detach: send to "+p.Record.PIDFile+": exited already\n")
	require.Contains(t, stderr.String(), p.Record.PIDFile+": ended, ")
	require.False(t, daemon.Alive())
}

// A daemon that does not read holds up a line for a while only, and Ctrl-C not
// at all.
func TestConsoleNotRead(t *testing.T) {
	p, _ := consoleDaemon(t, "sleep", lab.Mark())
	var stderr said
	y := &typist{process: p, patience: time.Millisecond, stderr: &stderr}
	y.run(t.Context(), strings.NewReader("one\ntwo\n"))
	require.Equal(t, strings.Repeat("detach: send to "+p.Record.PIDFile+": does not read its console: the line waits in it\n", 2), stderr.String())
	require.Equal(t, statusFailed, y.status())

	y = &typist{process: p, patience: time.Hour, stderr: &stderr}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	in, out := io.Pipe()
	defer out.Close()
	go func() {
		defer close(done)
		y.run(ctx, in)
	}()
	_, err := io.WriteString(out, "three\n")
	require.NoError(t, err)
	cancel()
	require.NoError(t, out.Close())
	<-done
	require.Zero(t, y.status(), "it was interrupted")
}

// Neither a reader that has gone nor one that has stalled keeps it.
func TestConsoleReader(t *testing.T) {
	p, daemon := listener(t)
	add(t, p.Record.Stdout, strings.Repeat("x", 1<<20))
	for name, c := range map[string]struct {
		leave  func(cmd *exec.Cmd, out io.Closer) error
		status int
		stderr string
	}{
		"gone": {
			func(_ *exec.Cmd, out io.Closer) error { return out.Close() },
			statusFailed, "detach: write standard output: broken pipe\n"},
		"stalled": {
			func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Signal(unix.SIGINT) },
			0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(lab.Bin(t, "detach"), "console", p.Record.PIDFile)
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			defer stdin.Close()
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			var stderr said
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Start())
			lab.Hold(t, cmd.Process.Pid)
			_, err = io.ReadFull(out, make([]byte, 1))
			require.NoError(t, err)
			require.NoError(t, c.leave(cmd, out))
			_ = cmd.Wait()
			require.Equal(t, c.status, cmd.ProcessState.ExitCode(), &stderr)
			require.Equal(t, c.stderr, stderr.String())
			require.True(t, daemon.Alive())
		})
	}
}

func TestConsoleRefuses(t *testing.T) {
	p, daemon := listener(t)
	without, _ := sleeper(t, "")
	console := func(args ...string) (status int, stdout, stderr string) {
		cmd := exec.Command(lab.Bin(t, "detach"), append([]string{"console"}, args...)...)
		var out, errors said
		cmd.Stdout, cmd.Stderr = &out, &errors
		_ = cmd.Run()
		return cmd.ProcessState.ExitCode(), out.String(), errors.String()
	}
	for _, c := range []struct {
		target string
		stderr string
		status int
	}{
		{without.Record.PIDFile, ": it has no console\nhint: start it with --console FIFO\n", statusFailed},
		{"none", "detach: open none: no such file or directory\n", lsbAbsent},
		{"-x", "detach: flag provided but not defined: -x\nhint: detach console --help lists the flags\n", statusFailed},
	} {
		status, stdout, stderr := console(c.target)
		require.Equal(t, c.status, status)
		require.Contains(t, stderr, c.stderr)
		require.Empty(t, stdout)
	}
	_, _, stderr := console()
	require.Contains(t, stderr, "detach: no target\n")
	status, stdout, _ := console("--help")
	require.Zero(t, status)
	require.Equal(t, consoleUsage, stdout)

	lab.AwaitContent(t, "up\n", p.Record.Stdout)
	record := p.Record.PIDFile + ".json"
	require.NoError(t, os.Rename(record, record+".kept"))
	status, stdout, stderr = console(p.Record.PIDFile)
	require.Equal(t, statusFailed, status)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "detach: console "+p.Record.PIDFile+": found by its PID alone, it may be another process\n")

	require.NoError(t, os.Rename(record+".kept", record))
	require.NoError(t, daemon.Signal(unix.SIGKILL))
	daemon.AwaitEnd(t)
	status, stdout, stderr = console(p.Record.PIDFile)
	require.Equal(t, lsbAbsent, status)
	require.Empty(t, stdout)
	require.Equal(t, "detach: open "+p.Record.PIDFile+": exited already\n", stderr)
}

// Without a log there is nothing to see, and the console works.
func TestConsoleWithoutLog(t *testing.T) {
	dir := t.TempDir()
	cmd := detach.Command("sh", "-c", `read -r line; echo "$line" >answer; exec sleep 1000`)
	cmd.Dir, cmd.PIDFile, cmd.Stdout, cmd.Console = dir, "pid", os.DevNull, "in"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer p.Close()
	lab.Hold(t, p.PID)
	console := exec.Command(lab.Bin(t, "detach"), "console", "pid")
	console.Dir, console.Stdin = dir, strings.NewReader("hello")
	out, err := console.CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "detach: warning: console pid: it has no log file\n", string(out))
	lab.AwaitContent(t, "hello\n", dir, "answer")
}
