//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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
			cmd, stderr, temporary := startWaiting(t, "1-control", "--shell", "--", stuck)
			require.NoError(t, cmd.Process.Signal(sig))
			_ = cmd.Wait() // the status is looked at below
			require.Equal(t, 125, cmd.ProcessState.ExitCode(), stderr)
			require.Contains(t, stderr.String(), "detachtest: ")
			requireNothingLeft(t, temporary)
		})
	}
}

// Nobody can tidy up after SIGKILL, so those left behind do.
func TestKilledLeavesNothing(t *testing.T) {
	folder := temporaryFolder(t)
	manager := filepath.Join(folder, "manager")
	require.NoError(t, os.WriteFile(manager, []byte(`#!/bin/sh
trap "" TERM
setsid -f "$DETACHTEST_PROBE" >/dev/null 2>&1
while :; do sleep 0.1; done
`), 0o700))
	for name, args := range map[string][]string{
		"own manager":  {"1-control", "--shell", "--", stuck},
		"user manager": {"1-sigterm-group", "--manager", "--", manager}, // survives SIGTERM
	} {
		t.Run(name, func(t *testing.T) {
			cmd, _, temporary := startWaiting(t, args[0], args[1:]...)
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait() // killed
			lab.Until(t, "all have ended", func() bool {
				return len(processesNaming(t, temporary+"/")) == 0 && len(processesNaming(t, manager)) == 0
			})
			entries, err := os.ReadDir(temporary)
			require.NoError(t, err)
			require.Empty(t, entries)
		})
	}
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
