package detach

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

func TestKindOfStream(t *testing.T) {
	device := func(major, minor uint32) uint64 { return unix.Mkdev(major, minor) }
	for _, c := range []struct {
		mode   uint32
		device uint64
		target string
		want   streamKind
	}{
		{unix.S_IFREG, 0, "/log", streamFile},
		{unix.S_IFDIR, 0, "/", streamFile},
		{unix.S_IFCHR, device(1, 3), "/dev/null", streamDevice},
		{unix.S_IFCHR, device(1, 5), "/dev/zero", streamDevice},
		{unix.S_IFCHR, device(136, 0), "/dev/pts/0", streamTerminal},
		{unix.S_IFCHR, device(143, 7), "/dev/pts/1799 (deleted)", streamTerminal},
		{unix.S_IFCHR, device(144, 0), "/dev/x", streamDevice},
		{unix.S_IFCHR, device(5, 1), "/dev/console", streamTerminal},
		{unix.S_IFCHR, device(4, 64), "/dev/ttyS0", streamTerminal},
		{unix.S_IFIFO, 0, "pipe:[7]", streamPipe},
		{unix.S_IFIFO, 0, "/run/in", streamFIFO},
		{unix.S_IFSOCK, 0, "socket:[7]", streamSocket},
	} {
		require.Equal(t, c.want, kindOfStream(c.mode|0o600, c.device, c.target), "%s", c.target)
	}
}

func TestReadStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	require.NoError(t, err)
	defer f.Close()
	s := readStream("/proc/self", int(f.Fd()))
	require.NoError(t, s.err)
	require.Equal(t, stream{fd: int(f.Fd()), kind: streamFile, target: path, device: s.device, inode: s.inode, writable: true}, s)
	require.NoError(t, os.Remove(path))
	s = readStream("/proc/self", int(f.Fd()))
	require.True(t, s.deleted)
	require.Equal(t, path+" (deleted)", s.target)
	require.Equal(t, stream{fd: 1 << 20}, readStream("/proc/self", 1<<20), "it is closed")
}

func TestParseJournalStream(t *testing.T) {
	device, inode, ok := parseJournalStream("9:44693")
	require.True(t, ok)
	require.Equal(t, []uint64{9, 44693}, []uint64{device, inode})
	for _, value := range []string{"", ":", "9", "9:", ":9", "9:x", "-1:1", "9:1:1", "9: 1", "18446744073709551616:1"} {
		_, _, ok := parseJournalStream(value)
		require.False(t, ok, "%q", value)
	}
}

func FuzzParseJournalStream(f *testing.F) {
	f.Add("9:44693")
	f.Add(":")
	f.Fuzz(func(t *testing.T, value string) {
		device, inode, ok := parseJournalStream(value)
		again, inode2, ok2 := parseJournalStream(fmt.Sprintf("%d:%d", device, inode))
		if ok && (!ok2 || again != device || inode2 != inode) {
			t.Errorf("%q", value)
		}
	})
}

func TestParseSignalFD(t *testing.T) {
	require.Equal(t, proc.SignalSet(0x4000), parseSignalFD([]byte("pos:\t0\nflags:\t02\nsigmask:\t0000000000004000\n")))
	for _, info := range []string{"", "pos:\t0\n", "sigmask:\n", "sigmask:\tx\n", "sigmask:\t-1\n", "xsigmask:\t1\n"} {
		require.Zero(t, parseSignalFD([]byte(info)), "%q", info)
	}
}

func FuzzParseSignalFD(f *testing.F) {
	f.Add([]byte("sigmask:\t0000000000004000\n"))
	f.Add([]byte("sigmask:"))
	f.Fuzz(func(t *testing.T, info []byte) { _ = parseSignalFD(info) }) // no panic
}

// Who has the other end decides whether a pipe lasts.
func TestOtherEnd(t *testing.T) {
	const target = "pipe:[7]"
	reader, writer := func(pid int) opener { return opener{pid, 5, true, false} }, func(pid int) opener { return opener{pid, 6, false, true} }
	for name, c := range map[string]struct {
		fd      int
		openers []opener
		denied  int
		ok      bool
		want    string
	}{
		"somebody else":        {1, []opener{reader(60)}, 0, false, "read by p60"},
		"the wrong end":        {1, []opener{writer(60)}, 0, false, "which nobody reads"},
		"its child":            {1, []opener{reader(61)}, 0, true, "read by p61 of its own"},
		"its child and others": {1, []opener{reader(61), reader(60), reader(60)}, 0, false, "read by p60"},
		"itself":               {2, []opener{{100, 9, true, true}}, 0, true, "read by itself"},
		"its own end only":     {2, []opener{{100, 2, true, true}}, 0, false, "which nobody reads"},
		"nobody":               {1, nil, 0, false, "which nobody reads"},
		"hidden":               {1, nil, 1, false, "read by somebody who cannot be seen, or nobody"},
		"hidden, and a child":  {1, []opener{reader(61)}, 1, true, "read by p61 of its own"},
		"input":                {0, []opener{writer(60)}, 0, false, "written by p60"},
		"input, the wrong end": {0, []opener{reader(60)}, 0, false, "which nobody writes"},
		"input of a child":     {0, []opener{writer(61)}, 0, true, "written by p61 of its own"},
		"input, hidden":        {0, nil, 1, false, "written by somebody who cannot be seen, or nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			in := observe(proc.Stat{Parent: 1, Session: 90}, other(60, 1, 60, 60, 1), other(61, 100, 61, 61, 2000))
			in.openers = openers{byTarget: map[string][]opener{target: c.openers}, denied: c.denied}
			ok, words := in.otherEnd(stream{fd: c.fd, kind: streamPipe, target: target, other: target})
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.want, words)
		})
	}
}

// Those in the session that is its own are its own, and in another one not.
func TestIsOwn(t *testing.T) {
	in := observe(proc.Stat{Parent: 1, Session: gone}, other(60, 1, gone, gone, 2000), other(61, 100, 61, 61, 2000), other(62, 1, 62, 62, 1))
	in.ownSession = in.checkSession().OK
	for pid, want := range map[int]bool{100: true, 60: true, 61: true, 62: false, 63: false} {
		require.Equal(t, want, in.isOwn(pid), pid)
	}
	in.ownSession = false
	require.False(t, in.isOwn(60))
}

// The looking through descriptors has an end.
func TestLookIntoIsBounded(t *testing.T) {
	o := openers{byTarget: map[string][]opener{"/dev/null": nil}}
	null, err := os.Open("/dev/null")
	require.NoError(t, err)
	defer null.Close()
	require.Equal(t, 2, o.lookInto(os.Getpid(), "/proc/self", 2))
	require.True(t, o.cut)
	require.True(t, o.partial())
	o = openers{byTarget: map[string][]opener{"/dev/null": nil}}
	require.Greater(t, o.lookInto(os.Getpid(), "/proc/self", 1<<16), 2)
	require.False(t, o.partial())
	require.Contains(t, o.of("/dev/null"), opener{os.Getpid(), int(null.Fd()), true, false})
	require.Zero(t, o.lookInto(gone, procDir(gone), 10), "it has ended")
	require.False(t, o.partial())
}

func TestOOMHazard(t *testing.T) {
	in := observe(proc.Stat{})
	in.dir = t.TempDir()
	require.Empty(t, in.oomHazard())
	for _, score := range []int{0, 500, -1, -1000} {
		require.NoError(t, os.WriteFile(filepath.Join(in.dir, "oom_score_adj"), []byte(strconv.Itoa(score)+"\n"), 0o600))
		hazards := in.oomHazard()
		if score >= 0 {
			require.Empty(t, hazards)
			continue
		}
		require.Equal(t, HazardOOM, hazards[0].Code)
		require.Contains(t, hazards[0].Text, strconv.Itoa(score))
		require.Contains(t, hazards[0].Remedy, "-p 100")
		in.service = true
		require.Empty(t, in.oomHazard())
		in.service = false
	}
}

func TestLogHazard(t *testing.T) {
	in := observe(proc.Stat{})
	require.Empty(t, in.logHazard())
	in.streams[0] = stream{kind: streamFile, target: "/in (deleted)", deleted: true}
	in.streams[1] = stream{kind: streamFile, target: "/memfd:x (deleted)", deleted: true}
	in.streams[2] = stream{kind: streamFile, target: "/log (deleted)"}
	require.Empty(t, in.logHazard(), "input, a file that never had a name, and one that is called so")
	in.streams[2].deleted = true
	require.Contains(t, in.logHazard()[0].Text, "standard error: the log file /log has been deleted")
	in.streams[1].target = "/out\n (deleted)"
	require.Contains(t, in.logHazard()[0].Text, `standard output and standard error: the log file "/out\n" and /log has been deleted`)
}
