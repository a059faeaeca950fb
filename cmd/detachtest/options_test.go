//go:build linux

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUsageErrors(t *testing.T) {
	for message, args := range map[string][]string{
		"no launcher given":                                             {},
		`unknown death or check "old-age"`:                              {"--only", "old-age", "--", "env"},
		`unknown death or check "control"`:                              {"--skip", "control", "--", "env"},
		`unknown format "yaml"`:                                         {"-f", "yaml", "--", "env"},
		`no format "tap" of a stress: table or json`:                    {"--stress", "1", "-f", "tap", "--", "env"},
		"--stress goes without --output, --expect, --repeat and --time": {"--stress", "1", "-n", "2", "--", "env"},
		"stress of -1 launches":                                         {"--stress", "-1", "--", "env"},
		"timeout 0s is not positive":                                    {"-t", "0", "--", "env"},
		"nothing is left to test":                                       {"-o", "sigkill", "-x", "sigkill", "--", "env"},
		"--shell takes one line: put it in quotes":                      {"--shell", "--", "nohup", "{}"},
		`launcher "x" is not NAME=COMMAND`:                              {"-L", "x"},
		"flag provided but not defined: -frobnicate":                    {"--frobnicate"},
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
	for _, c := range checks {
		require.Contains(t, run.stdout, c.name)
		require.Contains(t, run.stdout, c.who)
	}
	require.Regexp(t, `^detachtest \S+\n$`, detachtest(t, "-V").stdout)
}

func TestSelectRows(t *testing.T) {
	for _, c := range []struct {
		only, skip string
		want       []string
	}{
		{"hangup,sigkill,ctrl-c", "hangup", []string{"sigkill", "ctrl-c"}},
		{"zombies, hangup, descriptors", "", []string{"hangup", "descriptors", "zombies"}},
		{"hygiene,sigkill", "port,pipes,helpers,signals,terminal,open-files,append,pid,exec-failure", []string{"sigkill", "descriptors", "zombies"}},
		{"", "hygiene", deathNames()},
	} {
		selectedDeaths, selectedChecks, err := selectRows(c.only, c.skip)
		require.NoError(t, err)
		var names []string
		for _, d := range selectedDeaths {
			names = append(names, d.name)
		}
		for _, c := range selectedChecks {
			names = append(names, c.name)
		}
		require.Equal(t, c.want, names)
	}
}

func deathNames() []string {
	var names []string
	for _, d := range deaths {
		names = append(names, d.name)
	}
	return names
}
