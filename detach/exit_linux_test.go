package detach_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// startScript starts sh as a daemon with a PID file, console and log in a
// folder of its own, and waits until it has said "up". What it leaves behind
// ends with the test.
func startScript(t *testing.T, script string) *detach.Process {
	t.Helper()
	mark := lab.Mark()
	lab.KillMarked(t, mark)
	cmd := detach.Command("sh", "-c", script, mark)
	cmd.Dir = t.TempDir()
	cmd.PIDFile, cmd.Console, cmd.Stdout = "x.pid", "in", "log"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = p.Kill(context.Background())
		p.Close()
	})
	log := filepath.Join(cmd.Dir, "log")
	lab.Until(t, "up", func() bool { return lab.Contains(log, "up\n") })
	return p
}

func TestExitIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		signal syscall.Signal
		want   detach.Exit
	}{
		"status 0":  {"trap 'exit 0' TERM; echo up; while :; do read x; done", unix.SIGTERM, detach.Exit{Known: true}},
		"status 42": {"trap 'exit 42' TERM; echo up; while :; do read x; done", unix.SIGTERM, detach.Exit{Known: true, Code: 42}},
		"SIGTERM":   {"echo up; read x", unix.SIGTERM, detach.Exit{Known: true, Signal: unix.SIGTERM}},
		"SIGKILL":   {"echo up; read x", unix.SIGKILL, detach.Exit{Known: true, Signal: unix.SIGKILL}},
	} {
		t.Run(name, func(t *testing.T) {
			requireTellsExit(t)
			p := startScript(t, c.script)
			again, err := detach.Open(p.Record.PIDFile)
			require.NoError(t, err)
			defer again.Close()
			require.NoError(t, p.Signal(c.signal))
			var wg sync.WaitGroup
			exits := make([]detach.Exit, 4)
			errs := make([]error, len(exits))
			for i := range exits {
				wg.Go(func() { exits[i], errs[i] = []*detach.Process{p, again}[i%2].Wait(t.Context()) })
			}
			wg.Wait()
			for i := range exits {
				require.NoError(t, errs[i])
				require.Equal(t, c.want, exits[i])
			}
			// The kernel keeps it for who holds the pidfd.
			lab.Until(t, "the end of the zombie", func() bool { _, ok := lab.ReadStatus(p.PID); return !ok })
			exit, err := again.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.want, exit)
		})
	}
}

// requireTellsExit skips the test before Linux 6.15.
func requireTellsExit(t *testing.T) {
	t.Helper()
	cmd := exec.Command("true")
	pidfd := -1
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &pidfd}
	require.NoError(t, cmd.Run())
	defer unix.Close(pidfd)
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if unix.IoctlPidfdInfo(pidfd, &info) != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		lab.Skip(t, "the kernel has no PIDFD_INFO_EXIT")
	}
}

// A child is reaped, and told of by that.
func TestExitOfAChild(t *testing.T) {
	for script, want := range map[string]detach.Exit{
		"read x; exit 7":        {Known: true, Code: 7},
		"read x; kill -KILL $$": {Known: true, Signal: unix.SIGKILL},
	} {
		cmd := exec.Command("sh", "-c", script)
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		p, err := detach.Find(cmd.Process.Pid)
		require.NoError(t, err)
		require.NoError(t, stdin.Close())
		exit, err := p.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, exit, script)
		_, err = unix.Wait4(p.PID, nil, unix.WALL, nil)
		require.Equal(t, unix.ECHILD, err)
		require.NoError(t, p.Close())
	}
}

func TestExitString(t *testing.T) {
	for want, e := range map[string]detach.Exit{
		"it is not known how":            {},
		"exit status 0":                  {Known: true},
		"exit status 255":                {Known: true, Code: 255},
		"killed by SIGTERM":              {Known: true, Signal: unix.SIGTERM},
		"killed by SIGSEGV, core dumped": {Known: true, Signal: unix.SIGSEGV, Core: true},
	} {
		require.Equal(t, want, fmt.Sprint(e))
	}
}
