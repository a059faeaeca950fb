package doublefork

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

func procFile(t *testing.T, pid int, name string) string {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
	require.NoError(t, err)
	return strings.TrimSpace(string(data))
}

// What is set is set for the daemon, and for nobody else in the memory that it
// has shared.
func TestLimits(t *testing.T) {
	b := newBench(t)
	ownScore := procFile(t, os.Getpid(), "oom_score_adj")
	ownLimits := procFile(t, os.Getpid(), "limits")
	ownNice, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	require.NoError(t, err)
	b.spec.OOMScoreAdj, b.spec.Nice = new(567), new(7)
	// A PID file is longer than that.
	b.spec.Limits = []Limit{{unix.RLIMIT_FSIZE, 0, 1}, {unix.RLIMIT_NOFILE, 100, 200}}
	p, err := Start(b.spec)
	require.NoError(t, err)
	defer end(t, p)
	require.Equal(t, "567", procFile(t, p.PID, "oom_score_adj"))
	nice, err := unix.Getpriority(unix.PRIO_PROCESS, p.PID)
	require.NoError(t, err)
	require.Equal(t, 7, 20-nice)
	require.Regexp(t, `Max file size +0 +1 `, procFile(t, p.PID, "limits"))
	require.Regexp(t, `Max open files +100 +200 `, procFile(t, p.PID, "limits"))
	content, err := os.ReadFile(b.pidFile())
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(p.PID)+"\n", string(content))

	require.Equal(t, ownScore, procFile(t, os.Getpid(), "oom_score_adj"))
	require.Equal(t, ownLimits, procFile(t, os.Getpid(), "limits"))
	nice, err = unix.Getpriority(unix.PRIO_PROCESS, 0)
	require.NoError(t, err)
	require.Equal(t, ownNice, nice)
}

// Another user, and nothing by which to come back. The caller stays what it was,
// down to whether its memory can be dumped.
func TestUser(t *testing.T) {
	lab.Root(t)
	b := newBench(t)
	setOtherUser(t, b.spec)
	dumpable := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		require.NoError(t, err)
		return n
	}
	before := dumpable()
	p, err := Start(b.spec)
	require.NoError(t, err)
	defer end(t, p)
	s, ok := lab.ReadStatus(p.PID)
	require.True(t, ok)
	require.Equal(t, "61234\t61234\t61234\t61234", s["Uid"])
	require.Equal(t, "61235\t61235\t61235\t61235", s["Gid"])
	require.Equal(t, "61236", strings.TrimSpace(s["Groups"]))
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		require.Equal(t, "0000000000000000", s[set], set)
	}
	content, err := os.ReadFile(b.pidFile())
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(p.PID)+"\n", string(content))
	require.Equal(t, before, dumpable())
	own, ok := lab.ReadStatus(os.Getpid())
	require.True(t, ok)
	require.Equal(t, "0\t0\t0\t0", own["Uid"])
}
