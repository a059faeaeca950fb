package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// A launcher started with 0, 1 or 2 closed gets these numbers for its own
// files: logs end up empty, or with the daemon's output in the PID file
// (bmc/daemonize#34).
func TestClosedStdio(t *testing.T) {
	for name, c := range map[string]struct {
		flags []string
		want  [3]string // "" is what the caller has
	}{
		"no logs":     {nil, [3]string{"/dev/null", "", ""}},
		"-o":          {[]string{"-o", "o.log"}, [3]string{"/dev/null", "o.log", "o.log"}},
		"-e":          {[]string{"-e", "e.log"}, [3]string{"/dev/null", "e.log", "e.log"}},
		"-o -e":       {[]string{"-o", "o.log", "-e", "e.log"}, [3]string{"/dev/null", "o.log", "e.log"}},
		"all of them": {[]string{"-o", "o.log", "-e", "e.log", "--console", "fifo"}, [3]string{"fifo", "o.log", "e.log"}},
	} {
		for _, closed := range lab.Closings {
			t.Run(fmt.Sprint(name, closed), func(t *testing.T) {
				flags := append([]string{"-q", "-p", "pid"}, c.flags...)
				args := append(flags, "--", "sh", "-c", `echo out; echo err >&2; exec sleep 1000`)
				cmd := launch(t, closing(t, closed), args...)
				lab.GiveFiles(t, cmd)
				require.NoError(t, cmd.Run())
				daemon := lab.Hold(t, pidIn(t, cmd.Dir, "pid"))
				lab.RequireStdio(t, daemon.PID, cmd.Dir, closed, c.want)
				lab.AwaitContent(t, fmt.Sprintln(daemon.PID), cmd.Dir, "pid")
			})
		}
	}
}

// closing returns the prefix of a command that has some of 0, 1 and 2 closed.
func closing(t *testing.T, fds []int) []string {
	t.Helper()
	return hostile(t, "-close", strings.Trim(fmt.Sprint(fds), "[]"))
}

// What is said of a failure must not go into a file that happens to be open.
func TestClosedStdioAndFailure(t *testing.T) {
	for _, closed := range lab.Closings {
		t.Run(fmt.Sprint(closed), func(t *testing.T) {
			cmd := launch(t, closing(t, closed), "-o", "log", "-p", "pid", "--", "/dev/null")
			lab.GiveFiles(t, cmd)
			require.Error(t, cmd.Run())
			require.Equal(t, statusCannotRun, cmd.ProcessState.ExitCode())
			entries, err := os.ReadDir(cmd.Dir)
			require.NoError(t, err)
			require.Len(t, entries, 3, "nothing but the caller's files")
			for fd, e := range entries {
				info, err := e.Info()
				require.NoError(t, err)
				told := fd == 2 && !slices.Contains(closed, 2)
				require.Equal(t, told, info.Size() > 0, e.Name())
			}
		})
	}
}

func pidIn(t *testing.T, path ...string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSuffix(string(data), "\n"))
	require.NoError(t, err)
	return pid
}

// A daemon that keeps the listening socket of its manager stops it from
// binding its port again: samhocevar/rinetd#10, unbit/uwsgi#498. A loop up to
// RLIMIT_NOFILE misses what is above a limit that was lowered, and takes
// minutes where the limit is a billion: moby/moby#38814.
func TestInheritedDescriptors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	socket, err := listener.(*net.TCPListener).File()
	require.NoError(t, err)
	address := listener.Addr().String()
	prefix := hostile(t, "-fds", "200", "-high-fd", "1000", "-nofile", "500:500")

	before := exec.Command(prefix[0], append(prefix[1:], "ls", "/proc/self/fd")...)
	before.ExtraFiles = []*os.File{socket}
	out, err := before.Output()
	require.NoError(t, err)
	require.Subset(t, strings.Fields(string(out)), []string{"3", "203", "1000"})

	cmd := launch(t, prefix, "--", "sleep", "1000")
	cmd.ExtraFiles = []*os.File{socket}
	daemon, stderr := started(t, cmd)
	require.Empty(t, stderr)
	lab.AwaitDescriptors(t, daemon.PID, [3]string{"/dev/null", "/dev/null", "/dev/null"})

	require.NoError(t, listener.Close())
	require.NoError(t, socket.Close())
	again, err := net.Listen("tcp", address)
	require.NoError(t, err, "the daemon still listens")
	require.NoError(t, again.Close())
}
