package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// A daemon of another user is neither ended nor forgotten.
func TestStopOfAnotherUsersDaemon(t *testing.T) {
	lab.Root(t)
	cmd := detach.Command("sleep", lab.Mark())
	cmd.Dir, cmd.PIDFile = t.TempDir(), "pid"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer p.Close()
	daemon := lab.Hold(t, p.PID)

	stop := exec.Command(lab.Bin(t, "detach"), "stop", p.Identity().String())
	stop.Dir = "/"
	stop.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := stop.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, statusFailed, stop.ProcessState.ExitCode())
	require.Contains(t, string(out), "operation not permitted\nhint: it belongs to another user")
	require.True(t, daemon.Alive())
	require.FileExists(t, p.Record.PIDFile)
}

// A game server saves its world when it is asked to end.
func TestStopGameServer(t *testing.T) {
	for name, args := range map[string][]string{"signal": nil, "console": {"--console", "stop"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := detach.Command("java")
			argv := lab.GameServer(t, dir)
			cmd.Path, cmd.Args = argv[0], argv
			cmd.Dir, cmd.PIDFile, cmd.Console, cmd.Stdout = dir, "pid", "in", "log"
			p, err := cmd.Start(t.Context())
			require.NoError(t, err)
			defer p.Close()
			daemon := lab.Hold(t, p.PID)
			lab.Until(t, "Done", func() bool { return lab.Contains(p.Record.Stdout, "Done") })
			stop := exec.Command(lab.Bin(t, "detach"), append(append([]string{"stop"}, args...), p.Record.PIDFile)...)
			out, err := stop.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.False(t, daemon.Alive())
			require.True(t, strings.HasPrefix(string(out), "PID file "+p.Record.PIDFile+": stopped in "), "%s", out)
			require.NoFileExists(t, p.Record.PIDFile)
			require.Contains(t, lab.Content(t, p.Record.Stdout), "All dimensions are saved")
			require.Contains(t, string(out), map[string]string{"signal": "(SIGTERM)\n", "console": "(console)\n"}[name])
		})
	}
}
