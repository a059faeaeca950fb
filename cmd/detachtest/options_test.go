//go:build linux

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUsageErrors(t *testing.T) {
	for message, args := range map[string][]string{
		"no launcher given":                          {},
		`unknown death "old-age"`:                    {"--only", "old-age", "--", "env"},
		`unknown death "control"`:                    {"--skip", "control", "--", "env"},
		`unknown format "yaml"`:                      {"-f", "yaml", "--", "env"},
		"timeout 0s is not positive":                 {"-t", "0", "--", "env"},
		"no death is left to survive":                {"-o", "sigkill", "-x", "sigkill", "--", "env"},
		"--shell takes one line: put it in quotes":   {"--shell", "--", "nohup", "{}"},
		`launcher "x" is not NAME=COMMAND`:           {"-L", "x"},
		"flag provided but not defined: -frobnicate": {"--frobnicate"},
	} {
		run := detachtest(t, args...)
		require.Equal(t, 125, run.status, args)
		require.Empty(t, run.stdout)
		require.Equal(t, "detachtest: "+message+"\nhint: detachtest --help shows how it is used\n", run.stderr)
	}
}

func TestInformation(t *testing.T) {
	for _, flag := range []string{"-h", "--help"} {
		require.Equal(t, testRun{0, usage, ""}, detachtest(t, flag))
	}
	run := detachtest(t, "--list")
	require.Zero(t, run.status)
	for _, d := range append(deaths, control) {
		require.Contains(t, run.stdout, d.name)
		require.Contains(t, run.stdout, d.who)
	}
	require.Regexp(t, `^detachtest \S+\n$`, detachtest(t, "-V").stdout)
}

func TestSelectDeaths(t *testing.T) {
	selected, err := selectDeaths("hangup,sigkill,ctrl-c", "hangup")
	require.NoError(t, err)
	require.Len(t, selected, 2)
	require.Equal(t, "sigkill", selected[0].name)
	require.Equal(t, "ctrl-c", selected[1].name)
}
