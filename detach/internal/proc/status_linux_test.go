package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const status = `Name:	%s
Umask:	0022
State:	S (sleeping)
Pid:	4711
PPid:	1
TracerPid:	0
Uid:	4294967294	0	0	0
Gid:	0	0	0	0
Groups:	0 4 
NSpid:	4711	12	1
SigQ:	0/96365
SigPnd:	0000000000000000
SigBlk:	0000000000004000
SigIgn:	0000000000001001
SigCgt:	8000000000000002
CapBnd:	000001ffffffffff
NoNewPrivs:	1
Seccomp:	2
Seccomp_filters:	3
`

func TestParseStatus(t *testing.T) {
	want := Status{UID: 4294967294, Umask: 0o022, NSpid: []int{4711, 12, 1}, Blocked: 0x4000, Ignored: 0x1001, Caught: 0x8000000000000002,
		Bounding: 0x1ffffffffff, NoNewPrivs: true, Filters: 3}
	// The kernel escapes a newline; one that it did not must not help either.
	for _, name := range []string{"sleep", "", "a b", "Uid:\t0", "a\nUid:\t0\nSigIgn:\t0", "\xff", ":"} {
		s, err := ParseStatus(fmt.Appendf(nil, status, name))
		require.NoError(t, err, "%q", name)
		require.Equal(t, want, s, "%q", name)
	}
	s, err := ParseStatus([]byte(strings.ReplaceAll(status, "NSpid", "Other")))
	require.NoError(t, err, "a kernel without PID namespaces")
	require.Empty(t, s.NSpid)
	s, err = ParseStatus([]byte(strings.ReplaceAll(status, "Seccomp_filters", "Other")))
	require.NoError(t, err, "a kernel that does not count them")
	require.Equal(t, 1, s.Filters)
}

func TestSignalSet(t *testing.T) {
	s := SignalSet(1<<(unix.SIGTERM-1) | 1<<63)
	require.True(t, s.Has(unix.SIGTERM))
	require.True(t, s.Has(64))
	for _, sig := range []unix.Signal{-1, 0, 1, unix.SIGTERM - 1, unix.SIGTERM + 1, 63, 65, 128} {
		require.False(t, s.Has(sig), int(sig))
	}
}

func TestParseStatusRefuses(t *testing.T) {
	refused := []string{"", "\n", "Name:\tsleep\n"}
	for _, field := range []string{"Uid", "SigBlk", "SigIgn", "SigCgt"} {
		refused = append(refused, strings.Replace(status, field+":", "Other:", 1))
	}
	for field, values := range map[string][]string{
		"Uid:\t4294967294": {"", "-1", "x", "4294967296"},
		"NSpid:\t4711":     {"x", "-1", "4294967296"},
		"SigBlk:\t0000000000004000": {
			"SigBlk:\t", "SigBlk:\tg", "SigBlk:\t-1", "SigBlk:\t10000000000004000f",
		},
	} {
		for _, value := range values {
			if !strings.Contains(value, ":") {
				value = field[:strings.IndexByte(field, ':')+1] + "\t" + value + "\n"
			}
			refused = append(refused, strings.Replace(status, field, value, 1))
		}
	}
	for _, data := range refused {
		_, err := ParseStatus([]byte(data))
		require.ErrorIs(t, err, errStatus, "%q", data)
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add(fmt.Appendf(nil, status, "sleep"))
	f.Add(fmt.Appendf(nil, status, "a\nNSpid:\t1"))
	f.Add([]byte("Uid:\nNSpid:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseStatus(data)
		if err == nil && slices.ContainsFunc(s.NSpid, func(pid int) bool { return pid < 0 }) {
			t.Error("a PID is negative")
		}
	})
}

func TestReadStatusOfThisProcess(t *testing.T) {
	for _, dir := range []string{"/proc/self", fmt.Sprintf("/proc/%d/task/%[1]d", os.Getpid())} {
		s, err := ReadStatus(dir)
		require.NoError(t, err)
		require.Equal(t, os.Getuid(), int(s.UID))
		require.Equal(t, os.Getpid(), s.NSpid[0])
		require.True(t, s.Caught.Has(unix.SIGTERM), "the Go runtime does")
		require.False(t, s.Blocked.Has(unix.SIGTERM))
	}
	_, err := ReadStatus("/proc/0")
	require.ErrorIs(t, err, unix.ENOENT)
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, size := range []int{0, 1, 4<<10 - 1, 4 << 10, 4<<10 + 1, 16 << 10, 100_000} {
		want := strings.Repeat("x", size)
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
		for _, limit := range []int{1, 4 << 10, 100_001} {
			got, err := Read(path, limit)
			require.NoError(t, err)
			require.Equal(t, want[:min(size, limit)], string(got), "%d of %d", limit, size)
		}
	}
	_, err := Read(path+"x", 1)
	require.ErrorIs(t, err, unix.ENOENT)
}

func TestNumbers(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	dir := fmt.Sprintf("/proc/%d/fd", cmd.Process.Pid)
	fds, all, err := Numbers(dir, 1000)
	require.NoError(t, err)
	require.True(t, all)
	require.Subset(t, fds, []int{0, 1, 2})
	fds, all, err = Numbers(dir, 2)
	require.NoError(t, err)
	require.False(t, all)
	require.Len(t, fds, 2)

	pids, all, err := Numbers("/proc", 1<<20)
	require.NoError(t, err)
	require.True(t, all)
	require.Contains(t, pids, os.Getpid())
	_, _, err = Numbers(dir+"x", 1)
	require.ErrorIs(t, err, unix.ENOENT)
}
