package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// Whoever ends a status ends the command that it asks, which is in a process
// group of its own and does not get the Ctrl-C of a terminal.
func TestStatusInterruptedEndsItsCheck(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			p, daemon := sleeper(t, "")
			mark := lab.Mark()
			lab.KillMarked(t, mark)
			cmd := exec.Command(lab.Bin(t, "detach"), "status", "--timeout", "1h", "--check", "cmd=sleep "+mark+"; true", p.Record.PIDFile)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			require.NoError(t, cmd.Start())
			held := lab.Hold(t, cmd.Process.Pid)
			lab.Until(t, "the command", func() bool {
				asked := lab.WithArgument(t, mark)
				return len(asked) == 1 && readComm(asked[0]) == "sleep"
			})
			command := lab.Hold(t, lab.WithArgument(t, mark)[0])
			require.NoError(t, held.Signal(sig))
			require.Error(t, cmd.Wait())
			require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
			require.Equal(t, "detach: status: interrupted\n", stderr.String())
			require.Empty(t, stdout.String())
			command.AwaitEnd(t) // of what was killed with it only the shell is waited for
			require.True(t, daemon.Alive())
		})
	}
}

// A daemon that is not ready is not ill: nothing is asked, and that is said.
func TestCheckWhileItStarts(t *testing.T) {
	dir := t.TempDir()
	start := exec.Command(lab.Bin(t, "detach"), "-p", "pid", "--ready", "alive=1h", "--", "sleep", lab.Mark())
	start.Dir = dir
	require.NoError(t, start.Start())
	starter := lab.Hold(t, start.Process.Pid)
	lab.Until(t, "its record", func() bool { return lab.Contains(filepath.Join(dir, "pid.json"), "waiting") })
	lab.Hold(t, pidIn(t, dir, "pid"))

	status := func(args ...string) string {
		cmd := exec.Command(lab.Bin(t, "detach"), append(append([]string{"status", "--check", "cmd=touch asked; false"}, args...), "pid")...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	require.Regexp(t, `(?m)^state +starting$`, status())
	require.Regexp(t, `(?m)^check +'?cmd=.*: not asked, it is starting$`, status())
	var said struct {
		State  string
		Health []map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(status("--json")), &said))
	require.Equal(t, "starting", said.State)
	require.Equal(t, []map[string]any{{"check": "cmd=touch asked; false", "ok": nil, "reason": "not asked, it is starting"}}, said.Health)
	require.NoFileExists(t, filepath.Join(dir, "asked"))

	require.NoError(t, starter.Signal(unix.SIGTERM))
	require.Error(t, start.Wait())
	_, err := os.Stat(filepath.Join(dir, "pid"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
