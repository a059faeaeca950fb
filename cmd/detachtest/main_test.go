//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// blindVariable makes the test binary a detachtest whose control does nothing,
// so that the probe which is to be seen dead lives on.
const blindVariable = "DETACHTEST_TEST_BLIND"

func TestMain(m *testing.M) {
	if os.Getenv(blindVariable) != "" {
		control.deal = func(context.Context, *stage) error { return nil }
		main()
	}
	lab.DefaultSignals()
	status := m.Run()
	lab.RemoveBuilt()
	os.Exit(status)
}

// A testRun is what a run of detachtest came to.
type testRun struct {
	status         int
	stdout, stderr string
}

// detachtest runs it in a folder for temporary files of its own, which must be
// empty afterwards.
func detachtest(t *testing.T, args ...string) testRun {
	t.Helper()
	return runCommand(t, exec.Command(lab.Bin(t, "detachtest"), args...))
}

func runCommand(t *testing.T, cmd *exec.Cmd) testRun {
	t.Helper()
	temporary := temporaryFolder(t)
	var stdout, stderr bytes.Buffer
	cmd.Env = append(cmd.Environ(), "TMPDIR="+temporary, "COLUMNS=")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	_ = cmd.Wait() // the status is the caller's business
	requireNothingLeft(t, temporary)
	requireNoCgroupLeft(t, cmd.Process.Pid)
	return testRun{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// temporaryFolder is unlike t.TempDir in that its path is of a fixed, short
// form, which also makes it safe to look for in command lines.
func temporaryFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dt-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// requireNothingLeft shows that no file is left in the folder for temporary
// files, and no process whose command line names it: that of every probe,
// manager and shell in between does.
func requireNothingLeft(t *testing.T, temporary string) {
	t.Helper()
	require.Empty(t, processesNaming(t, temporary))
	entries, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// requireNoCgroupLeft shows that the detachtest with that PID has removed its
// cgroups.
func requireNoCgroupLeft(t *testing.T, pid int) {
	t.Helper()
	own, err := ownCgroup()
	if err != nil {
		return // there are none
	}
	left, err := filepath.Glob(filepath.Join(own, fmt.Sprintf("detachtest-%d-*", pid)))
	require.NoError(t, err)
	require.Empty(t, left)
}

// processesNaming returns the command lines of the living processes that name
// the path.
func processesNaming(t *testing.T, path string) []string {
	t.Helper()
	var found []string
	all, err := processes(func(stat) bool { return true })
	require.NoError(t, err)
	for _, p := range all {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		if err == nil && bytes.Contains(line, []byte(path)) {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// A testReport is the report in JSON, as its readers know it.
type testReport struct {
	Survived  bool
	Clean     bool
	Runs      int
	Launchers []string
	Deaths    []struct{ Name, Who string }
	Verdicts  []verdict
	Controls  []verdict
	Checks    []struct{ Name, Who string }
	Findings  []verdict
}

// report runs detachtest and returns its report, and the verdicts by death.
func report(t *testing.T, args ...string) (testReport, map[string]verdict) {
	t.Helper()
	run := detachtest(t, append([]string{"--format", "json"}, args...)...)
	require.Empty(t, run.stderr)
	var r testReport
	require.NoError(t, json.Unmarshal([]byte(run.stdout), &r), run.stdout)
	require.Equal(t, r.Survived, run.status == 0, "status %d", run.status)
	require.Contains(t, []int{0, 1}, run.status)
	byDeath := map[string]verdict{}
	for _, v := range r.Verdicts {
		byDeath[v.Death] = v
	}
	require.Len(t, byDeath, len(r.Deaths))
	return r, byDeath
}
