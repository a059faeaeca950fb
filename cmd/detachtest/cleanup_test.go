//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// stuck is a launcher whose probe is detached and born, but never comes to
// beat, because its output is a full pipe that nobody reads: detachtest waits
// for it. The launcher stays for as long as the nest is there.
const stuck = "{ head -c 65536 /dev/zero; exec setsid -f {}; } | while [ -e {} ]; do sleep 0.1; done"

// startWaiting returns a detachtest that waits with a living probe in the nest.
func startWaiting(t *testing.T, nest string, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer, temporary string) {
	t.Helper()
	args = append([]string{"--only", "sigterm-group", "--timeout", "1h"}, args...)
	lab.Program(t, "setsid")
	temporary = temporaryFolder(t)
	stderr = &bytes.Buffer{}
	cmd = exec.Command(lab.Bin(t, "detachtest"), args...)
	cmd.Env = append(cmd.Environ(), "TMPDIR="+temporary)
	cmd.Stderr = stderr
	cmd.WaitDelay = time.Minute // a tester that stays is to fail the test
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	lab.Until(t, "a probe is born under "+nest, func() bool {
		births, err := filepath.Glob(filepath.Join(temporary, "*", nest, birthFile))
		require.NoError(t, err)
		return len(births) > 0
	})
	require.NotEmpty(t, processesNaming(t, temporary))
	return cmd, stderr, temporary
}

func TestInterruptedLeavesNothing(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			cmd, stderr, temporary := startWaiting(t, "run-1/1-control", "--shell", "--", stuck)
			require.NoError(t, cmd.Process.Signal(sig))
			_ = cmd.Wait() // the status is looked at below
			require.Equal(t, 125, cmd.ProcessState.ExitCode(), stderr)
			require.Contains(t, stderr.String(), "detachtest: ")
			requireNothingLeft(t, temporary)
		})
	}
}

func TestInterruptedUnderStressLeavesNothing(t *testing.T) {
	cmd, stderr, temporary := startWaiting(t, "1-stress-0", "--stress", "5", "--shell", "--", stuck)
	require.NoError(t, cmd.Process.Signal(unix.SIGINT))
	_ = cmd.Wait() // the status is looked at below
	require.Equal(t, 125, cmd.ProcessState.ExitCode(), stderr)
	requireNothingLeft(t, temporary)
}

// Nobody can tidy up after SIGKILL, so those left behind do: the tester, when
// the guard is killed, and the other way round. Even a helper that a launcher has
// put into a session of its own ends, and a stranger like it does not.
func TestKilledLeavesNothing(t *testing.T) {
	lab.Program(t, "setsid")
	folder := temporaryFolder(t)
	manager := filepath.Join(folder, "manager")
	require.NoError(t, os.WriteFile(manager, []byte(`#!/bin/sh
trap "" TERM
setsid -f sleep $1 >/dev/null 2>&1
setsid -f "$DETACHTEST_PROBE" >/dev/null 2>&1
while :; do sleep 0.1; done
`), 0o700))
	launchers := map[string]func(mark string) []string{
		"own manager": func(mark string) []string {
			return []string{"run-1/1-control", "--shell", "--", "setsid -f sleep " + mark + " >/dev/null 2>&1; " + stuck}
		},
		"user manager": func(mark string) []string { // survives SIGTERM
			return []string{"run-1/1-sigterm-group", "--manager", "--", manager, mark}
		},
	}
	victims := map[string]func(t *testing.T, guard int){
		"guard": func(t *testing.T, guard int) { require.NoError(t, unix.Kill(guard, unix.SIGKILL)) },
		"group": func(t *testing.T, guard int) { require.NoError(t, unix.Kill(-guard, unix.SIGKILL)) },
		"tester": func(t *testing.T, guard int) {
			testers, err := processes(func(s stat) bool { return s.parent == guard })
			require.NoError(t, err)
			require.Len(t, testers, 1)
			require.NotEqual(t, "detachtest", testers[0].name, "killed with all of that name")
			require.NoError(t, unix.Kill(testers[0].pid, unix.SIGKILL))
		},
	}
	for launcher, args := range launchers {
		for victim, kill := range victims {
			t.Run(launcher+", "+victim, func(t *testing.T) {
				t.Parallel()
				mark := lab.Mark()
				lab.KillMarked(t, mark)
				args := args(mark)
				cmd, stderr, temporary := startWaiting(t, args[0], args[1:]...)
				lab.Until(t, "a helper", func() bool { return len(lab.WithArgument(t, mark)) > 0 })
				stranger := exec.Command("sleep", mark)
				stranger.Env = append(stranger.Environ(), "DETACHTEST_PROBE="+temporary, "TMPDIR="+temporary)
				require.NoError(t, stranger.Start())
				kill(t, cmd.Process.Pid)
				_ = cmd.Wait() // the status is looked at below
				if victim == "tester" {
					require.Equal(t, 125, cmd.ProcessState.ExitCode(), stderr)
					require.Equal(t, "detachtest: the tester ended: signal: killed\n", stderr.String())
					requireNothingLeft(t, temporary)
				}
				lab.Until(t, "all have ended", func() bool {
					return len(processesNaming(t, temporary+"/")) == 0 && len(lab.WithArgument(t, mark)) <= 1
				})
				lab.Until(t, "the folder is gone", func() bool {
					entries, err := os.ReadDir(temporary)
					require.NoError(t, err)
					return len(entries) == 0
				})
				require.Equal(t, []int{stranger.Process.Pid}, lab.WithArgument(t, mark))
				require.NoError(t, stranger.Process.Kill())
				_ = stranger.Wait() // killed
			})
		}
	}
}

// What is outside of the folder goes too.
func TestKilledLeavesNoCgroup(t *testing.T) {
	if reason := lacksCgroup(); reason != "" {
		lab.Skip(t, reason)
	}
	cmd, stderr, temporary := startWaiting(t, "run-1/1-cgroup-kill", "--only", "cgroup-kill", "--shell", "--",
		"case $(cat /proc/self/cgroup) in *detachtest-*) "+stuck+" ;; *) exec setsid -f {} >/dev/null 2>&1 ;; esac")
	folders, err := filepath.Glob(filepath.Join(temporary, "*"))
	require.NoError(t, err)
	require.Len(t, folders, 1)
	own, err := ownCgroup()
	require.NoError(t, err)
	cgroups := func() []string {
		found, err := filepath.Glob(filepath.Join(own, filepath.Base(folders[0])+"-*"))
		require.NoError(t, err)
		return found
	}
	require.Len(t, cgroups(), 1)
	testers, err := processes(func(s stat) bool { return s.parent == cmd.Process.Pid })
	require.NoError(t, err)
	require.Len(t, testers, 1)
	require.NoError(t, unix.Kill(testers[0].pid, unix.SIGKILL))
	_ = cmd.Wait() // the status is looked at below
	require.Equal(t, 125, cmd.ProcessState.ExitCode(), stderr)
	require.Empty(t, cgroups())
	requireNothingLeft(t, temporary)
}

// What a launcher leaves besides the probe is killed too, wherever it went.
func TestHelpersAreSwept(t *testing.T) {
	lab.Program(t, "setsid")
	folder := temporaryFolder(t)
	file := filepath.Join(folder, "pid")
	_, verdicts := report(t, "--only", "sigkill", "--shell", "--",
		"setsid -f sh -c 'echo $$ >>"+file+"; sleep 1000; true' >/dev/null 2>&1; exec setsid -f {} >/dev/null 2>&1")
	requireVerdict(t, sigkill, verdicts["sigkill"], "")
	for _, pid := range readPIDs(t, file) {
		require.False(t, lab.Alive(pid), "process %d is left", pid)
	}
}

// Where detachtest has inherited a child it does not take it for its own.
func TestInheritedChildIsSpared(t *testing.T) {
	folder := temporaryFolder(t)
	file := filepath.Join(folder, "pid")
	run := runCommand(t, exec.Command("sh", "-c",
		`sleep 1000 >/dev/null 2>&1 & echo $! >"$1"; shift; exec "$@"`, "sh", file,
		lab.Bin(t, "detachtest"), "--only", "sigkill", "--", "env"))
	require.Equal(t, 1, run.status, run.stderr)
	pids := readPIDs(t, file)
	require.Len(t, pids, 1)
	require.True(t, lab.Alive(pids[0]))
	require.NoError(t, unix.Kill(pids[0], unix.SIGKILL))
}

// readPIDs reads a file of PIDs, one a line.
func readPIDs(t *testing.T, file string) []int {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var pids []int
	for _, word := range strings.Fields(string(data)) {
		pid, err := strconv.Atoi(word)
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	require.NotEmpty(t, pids)
	return pids
}
