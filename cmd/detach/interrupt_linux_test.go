package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// What detach was started to ignore, as by nohup(1) or in the background of a
// script, does not end it.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	const mark = "MARK"
	for name, args := range map[string][]string{
		"wait":   {"wait", "pid"},
		"send":   {"send", "--timeout", "1h", "pid", "unread"},
		"stop":   {"stop", "--timeout", "1h", "--signal", "URG", "pid"},
		"status": {"status", "--timeout", "1h", "--check", "cmd=exec sleep " + mark, "pid"},
		"start":  {"--ready", "alive=1h", "--", "sleep", mark},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			daemon := detach.Command("sleep", lab.Mark())
			daemon.Dir, daemon.PIDFile, daemon.Console = t.TempDir(), "pid", "in"
			p, err := daemon.Start(t.Context())
			require.NoError(t, err)
			defer p.Close()
			held := lab.Hold(t, p.PID)

			sleep := lab.Mark()
			lab.KillMarked(t, sleep)
			argv := []string{"-c", `trap '' HUP INT; exec "$@"`, "sh", lab.Bin(t, "detach")}
			for _, arg := range args {
				argv = append(argv, strings.ReplaceAll(arg, mark, sleep))
			}
			cmd := exec.Command("sh", argv...)
			cmd.Dir = daemon.Dir
			require.NoError(t, cmd.Start())
			detached := lab.Hold(t, cmd.Process.Pid)
			lab.Until(t, "it to be under way", func() bool {
				if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, mark) }) {
					return slices.ContainsFunc(lab.WithArgument(t, sleep), func(pid int) bool { return readComm(pid) == "sleep" })
				}
				links, _ := filepath.Glob("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/fd/*")
				return slices.ContainsFunc(links, func(link string) bool {
					to, _ := os.Readlink(link)
					return to == "anon_inode:[pidfd]" || strings.HasPrefix(to, "pidfd:")
				})
			})
			for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT} {
				s, ok := lab.ReadStatus(cmd.Process.Pid)
				require.True(t, ok)
				ignored, err := strconv.ParseUint(s["SigIgn"], 16, 64)
				require.NoError(t, err)
				require.NotZero(t, ignored&(1<<(sig-1)), unix.SignalName(sig))
				require.NoError(t, detached.Signal(sig))
			}
			require.True(t, detached.Alive())
			require.True(t, held.Alive())
			require.NoError(t, detached.Signal(unix.SIGTERM))
			require.Error(t, cmd.Wait())
		})
	}
}

// Whoever asks twice does not wait for a daemon that does not want to end.
func TestInterruptedTwiceWhileItWaits(t *testing.T) {
	type waiting struct {
		cmd    *exec.Cmd
		detach *lab.Held
		daemon *lab.Held
		stderr *bytes.Buffer
	}
	// interrupted is one that has been asked once, and has asked its daemon.
	interrupted := func() waiting {
		dir := t.TempDir()
		w := waiting{stderr: &bytes.Buffer{}}
		w.cmd = exec.Command(lab.Bin(t, "detach"), "-p", "pid", "-o", "log", "--ready", "log=never", "--",
			"sh", "-c", "trap 'echo asked' TERM; echo up; while :; do sleep 0.1; done", lab.Mark())
		w.cmd.Dir, w.cmd.Stderr = dir, w.stderr
		require.NoError(t, w.cmd.Start())
		w.detach = lab.Hold(t, w.cmd.Process.Pid)
		lab.Until(t, "the daemon", func() bool { return lab.Contains(filepath.Join(dir, "log"), "up") })
		lab.Until(t, "its record", func() bool { return lab.Contains(filepath.Join(dir, "pid.json"), "waiting") })
		w.daemon = lab.Hold(t, pidIn(t, dir, "pid"))
		require.NoError(t, w.detach.Signal(unix.SIGINT))
		lab.Until(t, "it to be asked to end", func() bool { return lab.Contains(filepath.Join(dir, "log"), "asked") })
		return w
	}
	once, twice := interrupted(), interrupted()
	for _, w := range []waiting{twice, once} {
		// The one that was asked once, and earlier, is still patient then.
		require.True(t, once.detach.Alive())
		require.NoError(t, w.detach.Signal(unix.SIGINT))
		require.Error(t, w.cmd.Wait())
		require.Equal(t, statusFailed, w.cmd.ProcessState.ExitCode())
		require.Contains(t, w.stderr.String(), "given up, still waiting for log=never")
		require.False(t, w.daemon.Alive())
		require.NoFileExists(t, filepath.Join(w.cmd.Dir, "pid"))
	}
}

// Whoever interrupts a verb is told so, and nothing about the daemon.
func TestInterruptedVerbs(t *testing.T) {
	for name, verb := range map[string]struct {
		args []string
		want string
	}{
		"stop":            {[]string{"stop", "pid"}, "detach: stop pid: interrupted\n"},
		"stop by console": {[]string{"stop", "--console", "unread", "pid"}, "detach: stop pid: interrupted\n"},
		"send":            {[]string{"send", "--timeout", "1h", "pid", "unread"}, "detach: send to DIR/pid: interrupted: the line waits in its console\n"},
	} {
		for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM} {
			t.Run(name+" "+unix.SignalName(sig), func(t *testing.T) {
				t.Parallel()
				daemon := detach.Command("sh", "-c", "trap 'echo asked' TERM; trap 'echo told' USR1; echo up; while :; do sleep 0.1; done", lab.Mark())
				daemon.Dir, daemon.PIDFile, daemon.Console, daemon.Stdout = t.TempDir(), "pid", "in", "log"
				daemon.Ready.When = []detach.Condition{detach.LogLine{Regexp: regexp.MustCompile("up")}}
				p, err := daemon.Start(t.Context())
				require.NoError(t, err)
				defer p.Close()
				held := lab.Hold(t, p.PID)

				var stderr strings.Builder
				cmd := exec.Command(lab.Bin(t, "detach"), verb.args...)
				cmd.Dir, cmd.Stderr = daemon.Dir, &stderr
				require.NoError(t, cmd.Start())
				detached := lab.Hold(t, cmd.Process.Pid)
				lab.Until(t, "it to be under way", func() bool {
					in, err := os.OpenFile(filepath.Join(daemon.Dir, "in"), os.O_RDWR|unix.O_NONBLOCK, 0)
					require.NoError(t, err)
					defer in.Close()
					waiting, err := unix.IoctlGetInt(int(in.Fd()), unix.TIOCINQ)
					require.NoError(t, err)
					return waiting > 0 || lab.Contains(filepath.Join(daemon.Dir, "log"), "asked")
				})
				require.NoError(t, detached.Signal(sig))
				require.Error(t, cmd.Wait())
				require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
				require.Equal(t, strings.ReplaceAll(verb.want, "DIR", daemon.Dir), stderr.String())
				require.True(t, held.Alive())
				if name == "stop" {
					return
				}
				log := func() string {
					data, err := os.ReadFile(filepath.Join(daemon.Dir, "log"))
					require.NoError(t, err)
					return string(data)
				}
				for n := 1; n <= 2; n++ { // by the second one it has done what it was asked before
					require.NoError(t, held.Signal(unix.SIGUSR1))
					lab.Until(t, "its word", func() bool { return strings.Count(log(), "told") == n })
				}
				require.NotContains(t, log(), "asked")
			})
		}
	}
}
