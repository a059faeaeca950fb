//go:build linux

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLauncherCommand(t *testing.T) {
	for _, c := range []struct {
		launcher launcher
		probe    string
		want     []string
	}{
		{launcher{words: []string{"setsid", "-f"}}, "/p", []string{"setsid", "-f", "/p"}},
		{launcher{words: []string{"run", "{}", "--now"}}, "/p", []string{"run", "/p", "--now"}},
		{launcher{words: []string{"run", "x{}"}}, "/p", []string{"run", "x{}", "/p"}},
		{launcher{words: []string{"nohup {} &"}, shell: true}, "/p", []string{"/bin/sh", "-c", "nohup /p &"}},
		{launcher{words: []string{"nohup"}, shell: true}, "/a b'c", []string{"/bin/sh", "-c", `nohup '/a b'\''c'`}},
		{launcher{words: []string{"manage", "{}"}, manager: true}, "/p", []string{"manage", "{}"}},
		{launcher{words: []string{"manage {}"}, manager: true, shell: true}, "/p", []string{"/bin/sh", "-c", "manage {}"}},
	} {
		require.Equal(t, c.want, c.launcher.command(c.probe))
	}
}

func TestParseLauncher(t *testing.T) {
	l, err := parseLauncher("ours=bin/detach  -o log=x --")
	require.NoError(t, err)
	require.Equal(t, launcher{name: "ours", words: []string{"bin/detach", "-o", "log=x", "--"}}, l)
	for s, want := range map[string]launcher{
		"x=shell: a  b":        {name: "x", words: []string{"a  b"}, shell: true},
		" x =manager:a  b":     {name: "x", words: []string{"a", "b"}, manager: true},
		"x=manager:shell:a":    {name: "x", words: []string{"a"}, shell: true, manager: true},
		"x=shell: manager: a ": {name: "x", words: []string{"a"}, shell: true, manager: true},
	} {
		l, err := parseLauncher(s)
		require.NoError(t, err, s)
		require.Equal(t, want, l, s)
	}
	for _, s := range []string{"", "x", "=x", "x=", "x= ", "x=shell:", " =x"} {
		_, err := parseLauncher(s)
		require.Error(t, err, s)
	}
}
