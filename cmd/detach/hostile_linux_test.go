package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// The tests in the files hostile_* start daemons from callers that leave the
// launcher all that a launcher should not pass on. What became of it is read
// from /proc and from the files of the daemon, never from detach.

// hostile returns the prefix of a command that is to run in a hostile state.
func hostile(t *testing.T, flags ...string) []string {
	t.Helper()
	return append([]string{lab.Build(t, "detach/lab/hostile")}, flags...)
}

// launch returns the command "prefix detach args" in a folder of its own.
func launch(t *testing.T, prefix []string, args ...string) *exec.Cmd {
	t.Helper()
	argv := slices.Concat(prefix, []string{lab.Bin(t, "detach")}, args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = t.TempDir()
	return cmd
}

// started runs a command that prints the PID of a daemon and nothing else.
func started(t *testing.T, cmd *exec.Cmd) (daemon *lab.Held, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), errs.String())
	pid, err := strconv.Atoi(strings.TrimSuffix(out.String(), "\n"))
	require.NoError(t, err)
	daemon = lab.Hold(t, pid)
	lab.AwaitExec(t, pid)
	require.Equal(t, fmt.Sprintln(pid), out.String())
	return daemon, errs.String()
}

// startedAs is started for the output of --json.
func startedAs(t *testing.T, cmd *exec.Cmd) (said saidJSON, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), errs.String())
	require.NoError(t, json.Unmarshal([]byte(out.String()), &said), out.String())
	said.daemon = lab.Hold(t, said.PID)
	return said, errs.String()
}

type saidJSON struct {
	PID     int             `json:"pid"`
	Checks  []detach.Check  `json:"checks"`
	Hazards []detach.Hazard `json:"hazards"`

	daemon *lab.Held
}

// failed runs a command that is to fail and returns what it says.
func failed(t *testing.T, cmd *exec.Cmd, status int) (stderr string) {
	t.Helper()
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.Error(t, cmd.Run())
	require.Equal(t, status, cmd.ProcessState.ExitCode(), errs.String())
	require.Empty(t, out.String())
	return errs.String()
}

// status returns /proc/PID/status of a daemon.
func status(t *testing.T, daemon *lab.Held) lab.Status {
	t.Helper()
	s, ok := lab.ReadStatus(daemon.PID)
	require.True(t, ok)
	return s
}

// stat returns a field of /proc/PID/stat, by its number in proc_pid_stat(5).
func stat(t *testing.T, pid, field int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))[field-3]
}

// requireNoFiles checks that a failed start has left none.
func requireNoFiles(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}
