package proc

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestArguments(t *testing.T) {
	for data, want := range map[string][]string{
		"":                        nil,
		"\x00":                    {""},
		"a":                       {"a"},
		"a\x00":                   {"a"},
		"a\x00\x00":               {"a", ""},
		"a\x00b c\nd\x00\xff\x00": {"a", "b c\nd", "\xff"},
	} {
		require.Equal(t, want, Arguments([]byte(data)), "%q", data)
	}
	own, err := os.ReadFile("/proc/self/cmdline")
	require.NoError(t, err)
	require.Equal(t, os.Args, Arguments(own))
}

func TestEnviron(t *testing.T) {
	for data, want := range map[string][]string{
		"":                           {},
		"A=1\x00B=\x00":              {"A=1", "B="},
		"A=1\x00\x00\x00B=2\xff\x00": {"A=1", "B=2\xff"},
		"A=1":                        {"A=1"},
	} {
		require.Equal(t, want, Environ([]byte(data)), "%q", data)
	}
}

func TestParsePIDFD(t *testing.T) {
	pid, err := ParsePIDFD([]byte("pos:\t0\nflags:\t02000002\nmnt_id:\t16\nino:\t1\nPid:\t4711\nNSpid:\t4711\t7\n"))
	require.NoError(t, err)
	require.Equal(t, 4711, pid)
	for _, info := range []string{"", "Pid:\t-1\n", "Pid:\t0\n", "Pid:\n", "NSpid:\t1\n", "pos:\t0\n"} {
		_, err := ParsePIDFD([]byte(info))
		require.Error(t, err, "%q", info)
	}
}

func FuzzArguments(f *testing.F) {
	f.Add([]byte("sleep\x001000\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		joined := strings.Join(Arguments(data), "\x00")
		if joined != string(bytes.TrimSuffix(data, []byte{0})) {
			t.Errorf("%q", data)
		}
	})
}

func FuzzEnviron(f *testing.F) {
	f.Add([]byte("PATH=/bin\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if env := Environ(data); slices.Contains(env, "") || len(strings.Join(env, "")) != len(data)-bytes.Count(data, []byte{0}) {
			t.Errorf("%q", data)
		}
	})
}

func FuzzParsePIDFD(f *testing.F) {
	f.Add([]byte("Pid:\t4711\n"))
	f.Fuzz(func(t *testing.T, info []byte) {
		if pid, err := ParsePIDFD(info); err == nil && pid < 1 {
			t.Errorf("%q", info)
		}
	})
}
