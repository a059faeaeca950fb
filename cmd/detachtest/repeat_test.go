//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// The same three times in a row, and again under load.
func TestSameUnderLoad(t *testing.T) {
	lab.Program(t, "nohup")
	known := filepath.Join(t.TempDir(), "known.expect")
	args := []string{
		"--repeat", "3",
		"-L", "detach=" + lab.Bin(t, "detach") + " --",
		"-L", "child=env",
		"-L", "nohup=shell:nohup {} >/dev/null 2>&1 &",
	}
	run := detachtest(t, append([]string{"--output", known}, args...)...)
	require.Equal(t, 1, run.status, run.stderr)
	content, err := os.ReadFile(known)
	require.NoError(t, err)
	require.NotContains(t, string(content), string(flaky), run.stdout)

	load(t, 2*runtime.NumCPU())
	require.Equal(t, testRun{}, detachtest(t, append([]string{"--expect", known}, args...)...))
}

// load keeps the processors busy until the end of the test.
func load(t *testing.T, processes int) {
	t.Helper()
	runtime.LockOSThread() // their parent-death signal is that of the thread
	t.Cleanup(runtime.UnlockOSThread)
	for range processes {
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait() // killed
		})
	}
}

// A launcher that is not the same each time is found out.
func TestFlaky(t *testing.T) {
	lab.Program(t, "setsid")
	marks := t.TempDir()
	// The first two launches, those of the first run, are good ones.
	line := "if mkdir " + marks + "/1 || mkdir " + marks + "/2; then exec setsid -f {} >/dev/null 2>&1; else exec {}; fi 2>/dev/null"
	html := filepath.Join(t.TempDir(), "report.html")
	r, verdicts := report(t, "--only", "sigkill", "--repeat", "2", "--output", html, "--shell", "--", line)
	require.Equal(t, 2, r.Runs)
	v := verdicts["sigkill"]
	require.Equal(t, flaky, v.Outcome, "%+v", v)
	require.Regexp(t, `^survived in run 1, died in run 2 \(died of SIGPIPE .*\)$`, v.Why)
	require.False(t, r.Survived)
}

// A death that could be staged only sometimes is flaky too, and a failure.
func TestMergeVerdicts(t *testing.T) {
	v := mergeVerdicts([]verdict{{Outcome: survived, Seconds: 3}, {Outcome: survived, Seconds: 1}})
	require.Equal(t, verdict{Outcome: survived, Seconds: 3}, v)
	v = mergeVerdicts([]verdict{{Outcome: died, Signal: "SIGKILL", Why: "a"}, {Outcome: died, Signal: "SIGPIPE", Why: "b"}})
	require.Equal(t, verdict{Outcome: died, Signal: "SIGPIPE", Why: "b"}, v)
	a := newReportOf(t, survived)
	b := newReportOf(t, notRun)
	require.True(t, merge([]*results{a, a}).survived)
	require.True(t, merge([]*results{b}).survived)
	require.False(t, merge([]*results{a, b}).survived)
}

// newReportOf returns the results of one launcher under one death.
func newReportOf(t *testing.T, o outcome) *results {
	t.Helper()
	return newReport(&matrix{
		launchers: []launcher{{name: "one"}},
		deaths:    []death{sigkill},
		verdicts:  []verdict{{Outcome: o}},
		controls:  []verdict{{Outcome: died}},
	})
}
