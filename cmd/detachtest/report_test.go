//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func sampleMatrix() *matrix {
	return &matrix{
		launchers: []launcher{{name: "nohup"}, {name: "détaché"}, {name: "bad"}},
		deaths:    []death{sigkill, hangup, closedPipes},
		verdicts: []verdict{
			{Outcome: died, Why: "died of SIGPIPE"}, {Outcome: survived, Note: "it was odd"}, {Outcome: frozen, Why: "frozen"},
			{Outcome: survived}, {Outcome: survived}, {Outcome: notRun, Why: "no pipes"},
			{Outcome: launchFailed, Why: "no"}, {Outcome: launchFailed, Why: "no"}, {Outcome: launchFailed, Why: "no"},
		},
		controls: []verdict{{Outcome: died}, {Outcome: died}, {Outcome: launchFailed, Why: "no"}},
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	require.NoError(t, writeTable(&b, newReport(sampleMatrix()), style{}))
	require.Equal(t, `              nohup  détaché  bad
sigkill       ✗      ✓        –
hangup        ✓      ✓        –
closed-pipes  ✗      –        –

nohup, sigkill: died of SIGPIPE
nohup, hangup: it was odd
nohup, closed-pipes: frozen
détaché, closed-pipes: not run: no pipes
bad: no
`, b.String())
}

func TestTableInColour(t *testing.T) {
	var b strings.Builder
	require.NoError(t, writeTable(&b, newReport(sampleMatrix()), style{colour: true}))
	require.Contains(t, b.String(), "sigkill       \x1b[31m✗\x1b[0m      \x1b[32m✓\x1b[0m        \x1b[31m–\x1b[0m\n")
}

func TestSurvived(t *testing.T) {
	for o, want := range map[outcome]bool{survived: true, notRun: true, doomed: true, died: false, frozen: false, launchFailed: false} {
		m := &matrix{verdicts: []verdict{{Outcome: survived}, {Outcome: o}}}
		require.Equal(t, want, m.survived(), o)
		m.require = true
		require.Equal(t, want && o != notRun, m.survived(), o)
		require.Contains(t, cells, o)
	}
}

// Several launchers are columns in the order given.
func TestSeveralLaunchers(t *testing.T) {
	run := detachtest(t, "--only", "sigkill", "--shell", "-L", "null=exec {} >/dev/null 2>&1", "-L", "piped=exec {}")
	require.Equal(t, 1, run.status, run.stderr)
	require.True(t, strings.HasPrefix(run.stdout, "         null  piped\nsigkill  ✓     ✗\n\npiped, sigkill: died of SIGPIPE "), run.stdout)
}
