package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// What isolates a program does so as a prefix of the command: the daemon is
// found by its PID file, verified, and stopped with all that it consists of.
func TestIsolationByComposition(t *testing.T) {
	lab.Root(t)
	for name, prefix := range map[string][]string{
		"bwrap":   {"bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", "/srv", "/srv"},
		"setpriv": {"setpriv", "--reuid=61235", "--regid=61236", "--clear-groups", "--no-new-privs"},
	} {
		t.Run(name, func(t *testing.T) {
			lab.Program(t, prefix[0])
			dir := t.TempDir()
			mark := lab.Mark()
			args := append([]string{"-C", dir, "-p", "x.pid", "-o", "log", "--"}, prefix...)
			out := detachOutput(t, dir, append(args, "sh", "-c", "sleep "+mark+" & exec sleep "+mark)...)
			pid, err := strconv.Atoi(strings.TrimSpace(out))
			require.NoError(t, err, out)
			lab.Hold(t, pid)
			lab.Until(t, "both programs run", func() bool {
				n := 0
				for _, pid := range lab.WithArgument(t, mark) {
					if readComm(pid) == "sleep" {
						n++
					}
				}
				return n == 2
			})
			require.Regexp(t, `state +running`, detachOutput(t, dir, "status", "x.pid"))
			verified := detachOutput(t, dir, "verify", "x.pid")
			require.NotContains(t, verified, "NO ", verified)
			require.Contains(t, detachOutput(t, dir, "stop", "x.pid"), "stopped in ")
			require.Empty(t, lab.WithArgument(t, mark))
			_, err = os.Stat(dir + "/x.pid")
			require.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

func detachOutput(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(lab.Bin(t, "detach"), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}
