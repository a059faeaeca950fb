package detach_test

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// What runs a container: PID 1 in there leads a session of its own. The
// arguments are how it treats SIGTERM, the script of that PID 1, and a mark.
var _ = lab.Helper("container", func(args []string) error {
	inside := exec.Command("sh", "-c", args[1], args[2])
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if args[0] != "none" {
		inside.SysProcAttr.Cloneflags = unix.CLONE_NEWPID
	}
	signals := make(chan os.Signal, 1)
	if args[0] == "passes on" {
		signal.Notify(signals, unix.SIGTERM)
	}
	if err := inside.Start(); err != nil {
		return err
	}
	go func() {
		<-signals
		_ = inside.Process.Signal(unix.SIGPWR)
	}()
	return inside.Wait()
})

func startContainer(t *testing.T, way, script string) (p *detach.Process, mark string) {
	t.Helper()
	lab.Root(t)
	mark = lab.Mark()
	lab.KillMarked(t, mark)
	helper := lab.HelperCommand(t, "container", way, script+"; echo up; while :; do sleep 0.01; done", mark)
	cmd := detach.Command(helper.Path, helper.Args[1:]...)
	cmd.Env, cmd.Dir = helper.Env, t.TempDir()
	cmd.PIDFile, cmd.Stdout = "x.pid", "log"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = p.Kill(context.Background())
		p.Close()
	})
	log := filepath.Join(cmd.Dir, "log")
	lab.Until(t, "up", func() bool { return lab.Contains(log, "up\n") })
	return p, mark
}

// The session is not all that a container consists of.
func TestStopEndsTheContainer(t *testing.T) {
	for name, c := range map[string]struct {
		way, script, said string
		how               detach.StopWay
	}{
		"left behind": {"dies", "trap 'echo TERM; exit' TERM; trap 'echo PWR; exit' PWR", "TERM", detach.StopSignal},
		"asked":       {"passes on", "trap 'echo TERM; exit' TERM; trap 'echo PWR; exit' PWR", "PWR", detach.StopSignal},
		"deaf":        {"dies", "trap '' TERM", "", detach.StopKilled},
		"not asked":   {"passes on", "trap '' PWR", "", detach.StopKilled},
	} {
		t.Run(name, func(t *testing.T) {
			p, mark := startContainer(t, c.way, c.script)
			status, err := p.Status()
			require.NoError(t, err)
			require.GreaterOrEqual(t, status.Processes, 2)
			o := detach.StopOptions{}
			if c.how == detach.StopKilled {
				o.Timeout = time.Second
			}
			stopped, err := p.Stop(t.Context(), o)
			require.NoError(t, err)
			require.Equal(t, c.how, stopped.How)
			require.Empty(t, lab.WithArgument(t, mark))
			require.NoFileExists(t, p.Record.PIDFile)
			log := lab.Content(t, p.Record.Stdout)
			require.Equal(t, c.said == "TERM", strings.Contains(log, "TERM\n"), log)
			require.Equal(t, c.said == "PWR", strings.Contains(log, "PWR\n"), log)
		})
	}
}

// Whoever leaves the session and is in no container does so on purpose.
func TestStopLeavesASessionOfItsOwn(t *testing.T) {
	p, mark := startContainer(t, "none", ":")
	status, err := p.Status()
	require.NoError(t, err)
	require.Equal(t, 1, status.Processes)
	_, err = p.Stop(t.Context(), detach.StopOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, lab.WithArgument(t, mark))
}
