package proc

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const line = "4711 (%s) S 12 4700 4699 34816 -1 4194368 112 0 0 0 1 2 0 0 20 0 1 0 123456789 8192000 208 18446744073709551615 94000 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 140000 256\n"

func TestParseStat(t *testing.T) {
	want := Stat{State: 'S', Parent: 12, Group: 4700, Session: 4699, TTY: 34816, Flags: 4194368, User: 1, System: 2, Threads: 1, Start: 123456789, RSS: 208, Code: 94000, EnvEnd: 140000, Exit: 256}
	// The program chooses its name, up to 15 bytes of anything; the kernel
	// threads' are longer.
	for _, name := range []string{"sleep", "", "a b", ") S 1 2 3", "(", ")", "((", "))", "a\nb", "\xff", "kworker/R-kvfree_rcu_reclaim"} {
		s, err := ParseStat(fmt.Appendf(nil, line, name))
		require.NoError(t, err, "%q", name)
		require.Equal(t, want, s, "%q", name)
		require.False(t, s.Execed())
	}
}

func TestExecuting(t *testing.T) {
	require.False(t, Stat{State: 'R', Code: 94000, EnvEnd: 140000}.Executing())
	require.True(t, Stat{State: 'R'}.Executing(), "the memory is new, and nothing loaded")
	require.True(t, Stat{State: 'R', Code: 94000}.Executing(), "the program is, and has no arguments yet")
	require.True(t, Stat{State: 'R', Code: 94000, EnvEnd: 140000, Flags: forkedNoExec}.Executing(), "these are its parent's")
	require.False(t, Stat{State: 'S', Code: 1}.Executing(), "that is hidden")
	require.False(t, Stat{State: 'Z'}.Executing())
	require.False(t, Stat{State: 'X'}.Executing())
}

func TestParseStatRefuses(t *testing.T) {
	good := strings.Fields(fmt.Sprintf(line, "sleep"))
	_, err := ParseStat([]byte(strings.Join(good, " ")))
	require.NoError(t, err)
	refused := []string{"", "\n", "4711", "4711 (sleep", "4711 (sleep)", strings.Join(good[:51], " ")}
	for _, f := range []struct {
		number int
		value  string
	}{{3, "SS"}, {4, "x"}, {9, "-1"}, {14, "-1"}, {20, "1.5"}, {22, "-1"}, {24, "x"}, {26, "-1"}, {51, "x"}, {52, "0x1"}} {
		bad := slices.Clone(good)
		bad[f.number-1] = f.value
		refused = append(refused, strings.Join(bad, " "))
	}
	for _, data := range refused {
		_, err := ParseStat([]byte(data))
		require.ErrorIs(t, err, errStat, "%q", data)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add(fmt.Appendf(nil, line, "sleep"))
	f.Add(fmt.Appendf(nil, line, ") S 1 2 3 4 5 6"))
	f.Add([]byte("1 () S"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = ParseStat(data) // no panic
	})
}

func TestReadStatOfThisProcess(t *testing.T) {
	s, err := ReadStat(os.Getpid())
	require.NoError(t, err)
	session, err := unix.Getsid(0)
	require.NoError(t, err)
	require.Equal(t, os.Getppid(), s.Parent)
	require.Equal(t, unix.Getpgrp(), s.Group)
	require.Equal(t, session, s.Session)
	require.True(t, s.Execed())
	require.False(t, s.Executing())
	require.NoError(t, Check())

	_, err = ReadStat(1 << 30)
	require.ErrorIs(t, err, unix.ENOENT)
}
