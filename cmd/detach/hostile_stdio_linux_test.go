package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// daemonize -o gives a standard input that is open for writing only: reading
// it is an error. python-daemon gives none at all.
func TestStdinIsNull(t *testing.T) {
	cmd := launch(t, nil, "-o", "log", "--", "sh", "-c", `cat; echo "cat: $?"; exec sleep 1000`)
	daemon, _ := started(t, cmd)
	lab.AwaitContent(t, "cat: 0\n", cmd.Dir, "log")
	log := filepath.Join(cmd.Dir, "log")
	lab.AwaitDescriptors(t, daemon.PID, [3]string{"/dev/null", log, log})
}

func TestStdinFile(t *testing.T) {
	cmd := launch(t, nil, "-i", "in", "-o", "log", "--", "sh", "-c", `cat; exec sleep 1000`)
	require.NoError(t, os.WriteFile(filepath.Join(cmd.Dir, "in"), []byte("typed\n"), 0o600))
	daemon, _ := started(t, cmd)
	lab.AwaitContent(t, "typed\n", cmd.Dir, "log")
	require.Equal(t, unix.O_RDONLY, flagsOf(t, daemon, 0)&unix.O_ACCMODE)
}

// A game server that meets the end of its standard input spins at 100 % CPU
// or stops (Pumpkin-MC/Pumpkin#2524, SpigotMC/BungeeCord#1583): writers may
// come and go, and the console never ends.
func TestConsoleNeverEnds(t *testing.T) {
	const echo = `while read -r line; do echo "got $line"; done; echo end of file`
	for _, mode := range []os.FileMode{0, 0o622} {
		t.Run(mode.String(), func(t *testing.T) {
			cmd := launch(t, hostile(t, "-umask", "000"), "--console", "fifo", "-o", "log", "--", "sh", "-c", echo)
			fifo := filepath.Join(cmd.Dir, "fifo")
			if mode != 0 { // one that exists is taken as it is
				require.NoError(t, unix.Mkfifo(fifo, 0))
				require.NoError(t, os.Chmod(fifo, mode))
			}
			daemon, _ := started(t, cmd)
			info, err := os.Stat(fifo)
			require.NoError(t, err)
			require.Equal(t, os.ModeNamedPipe, info.Mode().Type())
			require.Equal(t, max(mode, 0o600), info.Mode().Perm())
			require.Equal(t, unix.O_RDWR, flagsOf(t, daemon, 0)&(unix.O_ACCMODE|unix.O_NONBLOCK))

			log := ""
			for _, line := range []string{"one", "two", "stop"} {
				require.NoError(t, os.WriteFile(fifo, []byte(line+"\n"), 0)) // opened and closed
				log += "got " + line + "\n"
				lab.AwaitContent(t, log, cmd.Dir, "log")
			}
			require.True(t, daemon.Alive())
		})
	}
}

// What the caller has as 1 and 2 is kept if it outlives the caller. A pipe
// does not: a daemon that writes to one dies of SIGPIPE when its reader does
// (Unitech/pm2#5054), and freezes when nobody reads (mcjars/mcvcli#7).
func TestInheritedOutput(t *testing.T) {
	open := func(name string, flags int) func(*testing.T, string) *os.File {
		return func(t *testing.T, dir string) *os.File {
			path := name
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, name)
			}
			f, err := os.OpenFile(path, flags, 0o600)
			require.NoError(t, err)
			return f
		}
	}
	for name, c := range map[string]struct {
		open func(t *testing.T, dir string) *os.File
		kept bool
	}{
		"file for appending": {open("f", os.O_WRONLY|os.O_APPEND|os.O_CREATE), true},
		"file for writing":   {open("f", os.O_WRONLY|os.O_CREATE), true},
		"file for both":      {open("f", os.O_RDWR|os.O_CREATE), true},
		"removed file":       {removedFile, true},
		"file for reading":   {open("f", os.O_RDONLY|os.O_CREATE), false},
		"file by O_PATH":     {open("/etc/passwd", unix.O_PATH), false},
		"directory":          {open("/", os.O_RDONLY), false},
		"null for writing":   {open("/dev/null", os.O_WRONLY), true},
		"null for reading":   {open("/dev/null", os.O_RDONLY), false},
		"another device":     {open("/dev/zero", os.O_RDWR), false},
		"pipe":               {pipe, false},
		"socket":             {socket, false},
		"terminal":           {terminal, false},
	} {
		for fd := 1; fd <= 2; fd++ {
			t.Run(fmt.Sprint(name, " as ", fd), func(t *testing.T) {
				cmd := launch(t, nil, "-q", "-p", "pid", "--", "sleep", "1000")
				f := c.open(t, cmd.Dir)
				defer f.Close()
				want := [3]string{"/dev/null", "/dev/null", "/dev/null"}
				if c.kept {
					var err error
					want[fd], err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
					require.NoError(t, err)
				}
				if fd == 1 {
					cmd.Stdout = f
				} else {
					cmd.Stderr = f
				}
				require.NoError(t, cmd.Run())
				daemon := lab.Hold(t, pidIn(t, cmd.Dir, "pid"))
				lab.AwaitDescriptors(t, daemon.PID, want)
				flags := flagsOf(t, daemon, fd)
				require.NotEqual(t, unix.O_RDONLY, flags&unix.O_ACCMODE)
				if c.kept {
					ours, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
					require.NoError(t, err)
					require.Equal(t, ours, flags, "the same open file")
				}
			})
		}
	}
}

func removedFile(t *testing.T, dir string) *os.File {
	f, err := os.CreateTemp(dir, "")
	require.NoError(t, err)
	require.NoError(t, os.Remove(f.Name()))
	return f
}

func pipe(t *testing.T, _ string) *os.File {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return w
}

func socket(t *testing.T, _ string) *os.File {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(pair[1]) })
	return os.NewFile(uintptr(pair[0]), "socket")
}

func terminal(t *testing.T, _ string) *os.File {
	master, tty, err := pty.Open()
	require.NoError(t, err)
	t.Cleanup(func() { master.Close() })
	return tty
}

// What was printed on a terminal is looked for there, so its loss is told: in
// one line. Nobody expects to see what was printed into a pipe.
func TestWarningOfLostOutput(t *testing.T) {
	const lost = ": a terminal does not outlive its session, /dev/null takes its place; name a log file to keep the output\n"
	for name, c := range map[string]struct {
		args           []string
		stdout, stderr bool // is a terminal
		want           string
	}{
		"no terminal":        {},
		"output":             {nil, true, false, "detach: warning: standard output" + lost},
		"error":              {nil, false, true, "detach: warning: standard error" + lost},
		"both":               {nil, true, true, "detach: warning: standard output and standard error" + lost},
		"both, with a log":   {[]string{"-o", "log"}, true, true, ""},
		"both, but be quiet": {[]string{"-q"}, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := launch(t, nil, append(append([]string{"-p", "pid"}, c.args...), "--", "sleep", "1000")...)
			master, tty, err := pty.Open()
			require.NoError(t, err)
			defer master.Close()
			var out, errs strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &errs
			if c.stdout {
				cmd.Stdout = tty
			}
			if c.stderr {
				cmd.Stderr = tty
			}
			err = cmd.Run()
			require.NoError(t, tty.Close())
			shown, _ := io.ReadAll(master) // it ends with EIO
			require.NoError(t, err)
			pid := lab.Hold(t, pidIn(t, cmd.Dir, "pid")).PID

			got := strings.ReplaceAll(string(shown), "\r", "") + out.String() + errs.String()
			if !slices.Contains(c.args, "-q") {
				c.want += fmt.Sprintln(pid)
			}
			require.ElementsMatch(t, strings.SplitAfter(c.want, "\n"), strings.SplitAfter(got, "\n"))
		})
	}
}

// Nor does a reader that has gone away kill detach with the daemon started and
// not reported: whoever does not get the PID would start a second one.
func TestReaderIsGone(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, r.Close())
	mark := lab.Mark()
	lab.KillMarked(t, mark)
	cmd := launch(t, nil, "-p", "pid", "--", "sleep", mark)
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = w, &stderr
	require.Error(t, cmd.Run())
	require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
	require.Equal(t, "detach: write standard output: broken pipe\n", stderr.String())
	require.Empty(t, lab.WithArgument(t, mark))
	requireNoFiles(t, cmd.Dir)
}

// Without O_APPEND a daemon goes on at its old position after logrotate's
// copytruncate, and the file is full of NUL bytes: apache/airflow#25363,
// logrotate/logrotate#286.
func TestLogIsTruncated(t *testing.T) {
	cmd := launch(t, nil, "-o", "log", "--console", "fifo", "--", "sh", "-c", `while read -r line; do echo "$line"; done`)
	started(t, cmd)
	log, fifo := filepath.Join(cmd.Dir, "log"), filepath.Join(cmd.Dir, "fifo")
	say := func(line string) { require.NoError(t, os.WriteFile(fifo, []byte(line+"\n"), 0)) }

	say("a long line before")
	lab.AwaitContent(t, "a long line before\n", log)
	require.NoError(t, os.Truncate(log, 0))
	say("after")
	lab.AwaitContent(t, "after\n", log)

	// Another writer does not get overwritten, nor does it overwrite.
	another, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	defer another.Close()
	_, err = another.WriteString("another\n")
	require.NoError(t, err)
	say("last")
	lab.AwaitContent(t, "after\nanother\nlast\n", log)
}

// Two opens of one file without O_APPEND overwrite each other, and comparing
// names misses links, as daemonize does.
func TestOneLogByTwoNames(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		shared bool // one open file
	}{
		"only -o":       {[]string{"-o", "log"}, true},
		"only -e":       {[]string{"-e", "log"}, true},
		"the same":      {[]string{"-o", "log", "-e", "log"}, true},
		"dot":           {[]string{"-o", "log", "-e", "./log"}, true},
		"hard link":     {[]string{"-o", "log", "-e", "hard"}, true},
		"symbolic link": {[]string{"-o", "soft", "-e", "log"}, true},
		"another":       {[]string{"-o", "log", "-e", "other"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := launch(t, nil, append(c.args, "--", "sh", "-c", `echo out; echo >written; exec sleep 1000`)...)
			log := filepath.Join(cmd.Dir, "log")
			require.NoError(t, os.WriteFile(log, nil, 0o600))
			require.NoError(t, os.Link(log, filepath.Join(cmd.Dir, "hard")))
			require.NoError(t, os.Symlink(log, filepath.Join(cmd.Dir, "soft")))
			daemon, _ := started(t, cmd)
			// What is written can be read a moment before the position moves.
			lab.AwaitContent(t, "\n", filepath.Join(cmd.Dir, "written"))
			require.Equal(t, "out\n", lab.Content(t, log))
			// A position is of the open file: writing by one number moves both.
			position := map[bool]string{true: "4", false: "0"}[c.shared]
			require.Equal(t, "4", fdinfo(t, daemon, 1)["pos"])
			require.Equal(t, position, fdinfo(t, daemon, 2)["pos"])
			for fd := 1; fd <= 2; fd++ {
				require.Equal(t, unix.O_WRONLY|unix.O_APPEND, flagsOf(t, daemon, fd)&(unix.O_ACCMODE|unix.O_APPEND|unix.O_NONBLOCK))
			}
		})
	}
}

// fdinfo returns /proc/PID/fdinfo/FD, see proc_pid_fdinfo(5).
func fdinfo(t *testing.T, daemon *lab.Held, fd int) map[string]string {
	t.Helper()
	info := map[string]string{}
	for line := range strings.Lines(readProc(t, daemon, fmt.Sprintf("fdinfo/%d", fd))) {
		name, value, _ := strings.Cut(line, ":")
		info[name] = strings.TrimSpace(value)
	}
	return info
}

// flagsOf returns the status flags of an open file, see open(2).
func flagsOf(t *testing.T, daemon *lab.Held, fd int) int {
	t.Helper()
	flags, err := strconv.ParseInt(fdinfo(t, daemon, fd)["flags"], 8, 64)
	require.NoError(t, err)
	return int(flags)
}
