package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// Programs that change something and exec the rest of their arguments do for a
// daemon what detach does not: the examples of the README.
func TestChainLoading(t *testing.T) {
	lab.Root(t)
	for name, c := range map[string]struct {
		chain []string
		check func(t *testing.T, pid int)
	}{
		"nice": {[]string{"nice", "-n", "10"}, func(t *testing.T, pid int) {
			kernel, err := unix.Getpriority(unix.PRIO_PROCESS, pid) // 20 less the nice value
			require.NoError(t, err)
			own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
			require.NoError(t, err)
			require.Equal(t, max(own-10, 1), kernel) // 19 is the nicest
		}},
		"prlimit": {[]string{"prlimit", "--nofile=100"}, func(t *testing.T, pid int) {
			var limit unix.Rlimit
			require.NoError(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit))
			require.Equal(t, unix.Rlimit{Cur: 100, Max: 100}, limit)
		}},
		"setpriv": {[]string{"setpriv", "--reuid=61235", "--regid=61236", "--clear-groups"}, func(t *testing.T, pid int) {
			s, ok := lab.ReadStatus(pid)
			require.True(t, ok)
			require.Equal(t, "61235\t61235\t61235\t61235", s["Uid"])
			require.Equal(t, "61236\t61236\t61236\t61236", s["Gid"])
		}},
		"bwrap": {[]string{"bwrap", "--dev-bind", "/", "/", "--tmpfs", "/mnt"}, func(t *testing.T, pid int) {
			mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", pid))
			require.NoError(t, err)
			require.Contains(t, string(mounts), " /mnt tmpfs ")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			lab.Program(t, c.chain[0])
			a := newAttempt(t)
			a.chain = c.chain
			status, stderr := a.run(nil, "-p", "x.pid")
			require.Zero(t, status, stderr)
			lab.Until(t, "the end of the chain", func() bool {
				for _, pid := range lab.WithArgument(t, a.mark) {
					if name := readComm(pid); name == "sleep" {
						c.check(t, pid)
						return true
					}
				}
				return false
			})
		})
	}
}

func readComm(pid int) string {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(comm))
}
