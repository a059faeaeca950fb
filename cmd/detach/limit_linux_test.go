package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// A limit on processes is lifted one by one. At first the Go runtime cannot
// even start its threads, then one fork fails, then the other; in the end the
// start succeeds. Each time there is a daemon with its PID file, or nothing.
func sweep(t *testing.T, prefix func(limit int) []string, prepare func(dir string)) {
	t.Helper()
	seen := map[string]bool{}
	for limit := 1; !seen["started"]; limit++ {
		require.Less(t, limit, 200, "no limit is enough")
		a := newAttempt(t)
		prepare(a.dir)
		// One thread more or less is a matter of chance: several tries.
		for range 3 {
			status, stderr := a.run(prefix(limit), "-p", "x.pid")
			switch {
			case status == 0:
				seen["started"] = true
			case strings.HasPrefix(stderr, "detach: fork: resource temporarily unavailable\nhint: a limit on processes"):
				seen["fork"] = true
				require.Equal(t, statusFailed, status)
			case strings.HasPrefix(stderr, "detach: second fork: resource temporarily unavailable\nhint: a limit on processes"):
				seen["second fork"] = true
				require.Equal(t, statusFailed, status)
			default: // the runtime's own words, or those of the prefix
				require.NotEqual(t, statusFailed, status, stderr)
			}
			// The runtime may have given up with a daemon half started, which
			// goes on.
			awaitClones(t, a.dir)
			if _, err := os.Stat(filepath.Join(a.dir, "x.pid")); err == nil {
				pid := a.pid("x.pid")
				lab.Until(t, "the daemon", func() bool { return slices.Equal([]int{pid}, lab.WithArgument(t, a.mark)) })
				require.NoError(t, unix.Kill(pid, unix.SIGKILL))
				_, err := unix.Wait4(pid, nil, 0, nil)
				require.NoError(t, err)
				require.NoError(t, os.Remove(filepath.Join(a.dir, "x.pid")))
				_ = os.Remove(filepath.Join(a.dir, "x.pid.json"))
				continue
			}
			require.NotZero(t, status)
			require.Empty(t, lab.WithArgument(t, a.mark))
		}
	}
	require.True(t, seen["fork"] || seen["second fork"], "no limit made a fork of ours fail: %v", seen)
}

// RLIMIT_NPROC counts the threads of a user, and does not count for root.
func TestProcessLimitOfUser(t *testing.T) {
	lab.Root(t)
	const user = "61234"
	setpriv, prlimit := lab.Program(t, "setpriv"), lab.Program(t, "prlimit")
	bin, err := os.ReadFile(lab.Bin(t, "detach"))
	require.NoError(t, err)
	public, err := os.MkdirTemp("", "detach-") // t.TempDir is for its owner only
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(public) })
	require.NoError(t, os.Chmod(public, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(public, "detach"), bin, 0o755))
	t.Setenv(lab.BinVariable, public)

	sweep(t, func(limit int) []string {
		return []string{setpriv, "--reuid=" + user, "--clear-groups", prlimit, fmt.Sprintf("--nproc=%d", limit)}
	}, func(dir string) {
		n, err := strconv.Atoi(user)
		require.NoError(t, err)
		require.NoError(t, os.Chown(dir, n, n))
		for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
			require.NoError(t, os.Chmod(d, 0o755))
		}
	})
}

// pids.max of a cgroup counts for everybody.
func TestProcessLimitOfCgroup(t *testing.T) {
	lab.Root(t)
	group, err := os.MkdirTemp(pidsHierarchy(t), "detach-test-")
	if err != nil {
		lab.Skip(t, "cannot make a cgroup: "+err.Error())
	}
	t.Cleanup(func() {
		lab.Until(t, "an empty cgroup", func() bool { return os.Remove(group) == nil })
	})
	sweep(t, func(limit int) []string {
		require.NoError(t, os.WriteFile(filepath.Join(group, "pids.max"), []byte(strconv.Itoa(limit)), 0))
		return []string{"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, group}
	}, func(string) {})
}

// pidsHierarchy returns where cgroups with pids.max can be made: cgroups(7).
func pidsHierarchy(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		v1 := fields[2] == "cgroup" && strings.Contains(","+fields[3]+",", ",pids,")
		controllers, _ := os.ReadFile(filepath.Join(fields[1], "cgroup.subtree_control"))
		v2 := fields[2] == "cgroup2" && strings.Contains(" "+strings.TrimSpace(string(controllers))+" ", " pids ")
		if v1 || v2 {
			return fields[1]
		}
	}
	lab.Skip(t, "no cgroup hierarchy with the pids controller")
	return ""
}
