//go:build linux

package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	const line = "4711 (a) R 1 (b c) S 12 13 14 34816 13 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11\n"
	s, err := parseStat([]byte(line))
	require.NoError(t, err)
	require.Equal(t, stat{
		identity: identity{pid: 4711, start: 987654},
		name:     "a) R 1 (b c", state: 'S', parent: 12, group: 13, session: 14, terminal: 34816,
	}, s)
	for _, bad := range []string{"", "1 sh S 1", "1 (sh", ")(", "1 (sh) S 1 2 3", "x (sh) S 1 1 1 0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"} {
		_, err := parseStat([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestReadStat(t *testing.T) {
	s, err := readStat(os.Getpid())
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), s.pid)
	require.Equal(t, os.Getppid(), s.parent)
	require.False(t, s.zombie())
}

// A process that has the PID but not the start time is another one.
func TestHoldChecksIdentity(t *testing.T) {
	s, err := readStat(os.Getpid())
	require.NoError(t, err)
	s.start++
	_, err = hold(s.identity)
	require.ErrorContains(t, err, "identify process")
}

// The list of processes was made while somebody ended and left the PID to this
// test, whose child is therefore none of theirs.
func TestDescendantsAreNobodyElses(t *testing.T) {
	child := exec.Command("sleep", "1000")
	require.NoError(t, child.Start())
	t.Cleanup(func() { _, _ = child.Process.Kill(), child.Wait() })
	root, err := readStat(os.Getppid())
	require.NoError(t, err)
	self, err := readStat(os.Getpid())
	require.NoError(t, err)
	childStat, err := readStat(child.Process.Pid)
	require.NoError(t, err)
	list := []stat{root, self, childStat}
	found, moved := belowIn(list, []identity{root.identity})
	require.False(t, moved)
	require.Len(t, found, 2)

	list[1].start--
	found, _ = belowIn(list, []identity{root.identity})
	require.Empty(t, found)

	// The parent alone has changed since.
	list[1] = self
	list[2].parent = root.pid
	found, moved = belowIn(list, []identity{root.identity})
	require.True(t, moved)
	require.Len(t, found, 1)
}
