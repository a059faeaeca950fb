package detach_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// requireGone checks that nothing of a daemon is left: no process with its
// mark, no PID file, no record.
func requireGone(t *testing.T, p *detach.Process) {
	t.Helper()
	require.Empty(t, lab.WithArgument(t, p.Record.Command[len(p.Record.Command)-1]))
	require.NoFileExists(t, p.Record.PIDFile)
	require.NoFileExists(t, p.Record.PIDFile+".json")
}

func TestStopBySignal(t *testing.T) {
	p := startScript(t, "trap 'exit 3' TERM; echo up; while :; do read x; done")
	stopped, err := p.Stop(t.Context(), detach.StopOptions{})
	require.NoError(t, err)
	requireGone(t, p)
	require.Equal(t, detach.StopSignal, stopped.How)
	require.Equal(t, "SIGTERM", stopped.Signal)
	require.Empty(t, stopped.Killed)
	if stopped.Exit.Known {
		require.Equal(t, 3, stopped.Exit.Code)
	}
	stopped, err = p.Stop(t.Context(), detach.StopOptions{})
	require.NoError(t, err)
	require.Equal(t, detach.StopGone, stopped.How)
	stopped, err = detach.Stop(t.Context(), p.Record.PIDFile, detach.StopOptions{})
	require.NoError(t, err)
	require.Equal(t, detach.StopGone, stopped.How)
}

func TestStopKillsWhatIgnoresTheSignal(t *testing.T) {
	p := startScript(t, `trap '' TERM; sh -c 'read x' "$0" & echo up; while :; do read x; done`)
	var told []detach.StopProgress
	stopped, err := p.Stop(t.Context(), detach.StopOptions{
		Timeout:  time.Second,
		Progress: func(s detach.StopProgress) { told = append(told, s) },
	})
	require.NoError(t, err)
	requireGone(t, p)
	require.Equal(t, detach.StopKilled, stopped.How)
	require.Contains(t, stopped.Killed, p.PID)
	require.NotEmpty(t, told)
	require.Contains(t, told[0].Left, p.PID)
}

// The signal goes to the whole session: a shell passes none on.
func TestStopEndsTheWholeSession(t *testing.T) {
	p := startScript(t, `sh -c 'echo up; read x <"$1"' child in "$0"; true`)
	stopped, err := p.Stop(t.Context(), detach.StopOptions{})
	require.NoError(t, err)
	requireGone(t, p)
	require.Equal(t, detach.StopSignal, stopped.How)
}

// The wrapper has died, the server goes on.
func TestStopEndsWhatADeadDaemonHasLeft(t *testing.T) {
	for name, stop := range map[string]func(p *detach.Process) (detach.Stopped, error){
		"held": func(p *detach.Process) (detach.Stopped, error) { return p.Stop(t.Context(), detach.StopOptions{}) },
		"found": func(p *detach.Process) (detach.Stopped, error) {
			return detach.Stop(t.Context(), p.Record.PIDFile, detach.StopOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := startScript(t, `sh -c 'echo up; while :; do sleep 1; done' "$0" & while :; do read x; done`)
			require.NoError(t, p.Signal(unix.SIGKILL))
			require.NoError(t, wait(t.Context(), p))
			mark := p.Record.Command[3]
			require.NotEmpty(t, lab.WithArgument(t, mark))
			lab.Until(t, "the end of the zombie", func() bool { _, ok := lab.ReadStatus(p.PID); return !ok })
			stopped, err := stop(p)
			require.NoError(t, err)
			requireGone(t, p)
			require.Equal(t, detach.StopSignal, stopped.How)
		})
	}
}

// Nobody vouches for it and nothing shows that it is the daemon's.
func TestStopSparesWhatMayBeAStranger(t *testing.T) {
	p := startScript(t, `cd /; sh -c 'echo up; while :; do sleep 1; done' "$0" </dev/null & exec >/dev/null 2>&1; while :; do read x; done`)
	mark := p.Record.Command[3]
	require.NoError(t, p.Signal(unix.SIGKILL))
	require.NoError(t, wait(t.Context(), p))
	lab.Until(t, "the end of the zombie", func() bool { _, ok := lab.ReadStatus(p.PID); return !ok })
	left := lab.WithArgument(t, mark)
	require.NotEmpty(t, left)
	// It has the log still; under another name that is no evidence.
	record := p.Record
	require.NoError(t, unix.Rename(record.Stdout, record.Stdout+".1"))
	stopped, err := detach.Stop(t.Context(), record.PIDFile, detach.StopOptions{})
	require.NoError(t, err)
	require.Equal(t, detach.StopGone, stopped.How)
	require.True(t, lab.Alive(left[0]))
}

func TestStopOfADaemonThatForks(t *testing.T) {
	p := startScript(t, `trap '' TERM; echo up; while :; do sh -c 'sleep 1' "$0" & sleep 0.01; done`)
	stopped, err := p.Stop(t.Context(), detach.StopOptions{Timeout: 500 * time.Millisecond})
	require.NoError(t, err)
	requireGone(t, p)
	require.Equal(t, detach.StopKilled, stopped.How)
}

func TestTwoStopsAtOnce(t *testing.T) {
	p := startScript(t, "trap 'sleep 0.2; exit' TERM; echo up; while :; do read x; done")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = detach.Stop(t.Context(), p.Record.PIDFile, detach.StopOptions{}) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	requireGone(t, p)
}

func TestStopContinuesAStoppedDaemon(t *testing.T) {
	p := startScript(t, "trap 'echo saved; exit' TERM; echo up; while :; do read x; done")
	require.NoError(t, p.Signal(unix.SIGSTOP))
	lab.Until(t, "the stop", func() bool { s, ok := lab.ReadStatus(p.PID); return ok && s["State"][0] == 'T' })
	stopped, err := p.Stop(t.Context(), detach.StopOptions{})
	require.NoError(t, err)
	requireGone(t, p)
	require.Equal(t, detach.StopSignal, stopped.How)
	require.Equal(t, "up\nsaved\n", lab.Content(t, p.Record.Dir, "log"))
}

// A process from Find is in the session of this test, which goes on.
func TestStopOfAFoundProcessSparesItsSession(t *testing.T) {
	var cmds [2]*exec.Cmd
	for i := range cmds {
		cmds[i] = exec.Command("sleep", lab.Mark())
		require.NoError(t, cmds[i].Start())
		lab.Hold(t, cmds[i].Process.Pid)
	}
	p, err := detach.Find(cmds[0].Process.Pid)
	require.NoError(t, err)
	defer p.Close()
	stopped, err := p.Stop(t.Context(), detach.StopOptions{})
	require.NoError(t, err)
	require.Equal(t, detach.StopSignal, stopped.How)
	require.Equal(t, detach.Exit{Known: true, Signal: unix.SIGTERM}, stopped.Exit)
	require.True(t, lab.Alive(cmds[1].Process.Pid))
}

func TestStopRefusesAGuess(t *testing.T) {
	p := startSleep(t)
	require.NoError(t, unix.Unlink(p.Record.PIDFile+".json"))
	_, err := detach.Stop(t.Context(), p.Record.PIDFile, detach.StopOptions{})
	require.ErrorIs(t, err, detach.ErrNoRecord)
	require.True(t, lab.Alive(p.PID))
	require.FileExists(t, p.Record.PIDFile)
	require.NoError(t, p.Signal(syscall.SIGKILL))
	require.NoError(t, wait(t.Context(), p))
	_, err = detach.Stop(t.Context(), p.Record.PIDFile, detach.StopOptions{})
	require.NoError(t, err)
	require.NoFileExists(t, p.Record.PIDFile)
	_, err = detach.Stop(t.Context(), filepath.Join(t.TempDir(), "missing", "x.pid"), detach.StopOptions{})
	require.NoError(t, err)
}

func TestStopEndsWithTheContext(t *testing.T) {
	p := startScript(t, "trap '' TERM; echo up; while :; do read x; done")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := p.Stop(ctx, detach.StopOptions{Progress: func(detach.StopProgress) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, lab.Alive(p.PID))
	require.FileExists(t, p.Record.PIDFile)
	stopped, err := p.Stop(t.Context(), detach.StopOptions{Timeout: -1})
	require.NoError(t, err)
	require.Equal(t, detach.StopKilled, stopped.How)
	requireGone(t, p)
}
