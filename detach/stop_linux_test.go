package detach_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// A wrapper that has died and left what shares neither its directory nor its
// files: by the number of its session alone.
func deadWrapper(t *testing.T) (p *detach.Process, left int) {
	t.Helper()
	p = startScript(t, `cd /; sh -c 'echo up; while :; do sleep 1; done' "$0" </dev/null & exec >/dev/null 2>&1; while :; do read x; done`)
	mark := p.Record.Command[3]
	require.NoError(t, p.Signal(unix.SIGKILL))
	require.NoError(t, wait(t.Context(), p))
	lab.Until(t, "the end of the zombie", func() bool { _, ok := lab.ReadStatus(p.PID); return !ok })
	// It has the log still; under another name that is no evidence.
	require.NoError(t, unix.Rename(p.Record.Stdout, p.Record.Stdout+".1"))
	pids := lab.WithArgument(t, mark)
	require.NotEmpty(t, pids)
	return p, pids[0]
}

func TestStopEndsWhatADeadWrapperHasLeft(t *testing.T) {
	p, _ := deadWrapper(t)
	cmd := detach.Command("sleep", lab.Mark())
	cmd.PIDFile = p.Record.PIDFile
	_, err := cmd.Start(t.Context())
	var running *detach.RunningError
	require.ErrorAs(t, err, &running, "two on one world")
	require.NotEmpty(t, running.Left)
	stopped, err := detach.Stop(t.Context(), p.Record.PIDFile, detach.StopOptions{})
	require.NoError(t, err)
	require.Equal(t, detach.StopSignal, stopped.How)
	requireGone(t, p)
}

// The number may have been used again, nobody vouches for it, and nothing shows
// that it is the daemon's.
func TestStopSparesWhatMayBeAStranger(t *testing.T) {
	p, left := deadWrapper(t)
	file := p.Record.PIDFile + ".json"
	record := regexp.MustCompile(`"forks": [0-9]+`).ReplaceAllString(lab.Content(t, file), `"forks": 1`)
	require.NoError(t, os.WriteFile(file, []byte(record), 0o600))
	for range 2 {
		_, err := detach.Stop(t.Context(), p.Record.PIDFile, detach.StopOptions{Timeout: -1})
		var unsure *detach.LeftError
		require.ErrorAs(t, err, &unsure)
		require.Contains(t, unsure.PIDs, left)
		require.True(t, lab.Alive(left))
		require.FileExists(t, p.Record.PIDFile)
		require.FileExists(t, file)
	}
}

// It never is the same process for long, and cannot be held.
func TestStopOfADaemonThatHops(t *testing.T) {
	p := startScript(t, `echo 'trap "" TERM; n=$(($2 + 1)); [ $n -gt 20000 ] || sh hop "$1" $n & echo $2 >beat' >hop; sh hop "$0" 0 & until test -e x.pid.json; do :; done; echo up`)
	_, err := p.Stop(t.Context(), detach.StopOptions{Timeout: 300 * time.Millisecond})
	require.NoError(t, err)
	requireGone(t, p)
}

// What is short of descriptors does not claim success, and leaves nobody
// stopped for ever.
func TestStopWithoutDescriptors(t *testing.T) {
	sh := lab.Program(t, "sh")
	failed := 0
	for limit := 8; limit < 24; limit++ {
		p := startScript(t, `trap '' TERM; for i in 1 2 3 4 5; do sh -c 'while :; do sleep 1; done' "$0" & done; echo up; while :; do read x; done`)
		mark := p.Record.Command[3]
		lab.Until(t, "five children", func() bool { return len(lab.WithArgument(t, mark)) == 6 })
		script := fmt.Sprintf(`ulimit -n %d; exec "$0" stop --timeout 0 "$1"`, limit)
		out, err := exec.Command(sh, "-c", script, lab.Bin(t, "detach"), p.Record.PIDFile).CombinedOutput()
		if err == nil {
			requireGone(t, p)
			continue
		}
		failed++
		t.Logf("%d: %s", limit, out)
		for _, pid := range lab.WithArgument(t, mark) {
			if status, ok := lab.ReadStatus(pid); ok {
				require.NotEqual(t, "T", status["State"][:1], "PID %d is left stopped", pid)
			}
		}
		require.FileExists(t, p.Record.PIDFile)
		_, err = detach.Stop(t.Context(), p.Record.PIDFile, detach.StopOptions{Timeout: -1})
		require.NoError(t, err)
		requireGone(t, p)
	}
	require.NotZero(t, failed, "no limit was too low")
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

// The jobs of a shell that has ended are in one session, and no daemon's.
func TestStopOfAFoundJobSparesTheOthers(t *testing.T) {
	one, other := lab.Mark(), lab.Mark()
	lab.KillMarked(t, one)
	lab.KillMarked(t, other)
	script := `sh -c 'sleep "$0" & wait' "$0" & sleep "$1" &`
	cmd := exec.Command(lab.Program(t, "setsid"), "sh", "-c", script, one, other)
	require.NoError(t, cmd.Run())
	pid := func(mark string) int {
		var pids []int
		lab.Until(t, "a sleep", func() bool {
			pids = slices.DeleteFunc(lab.WithArgument(t, mark), func(pid int) bool {
				cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				return err != nil || string(cmdline) != "sleep\x00"+mark+"\x00"
			})
			return len(pids) == 1
		})
		return pids[0]
	}
	below, spared := lab.Hold(t, pid(one)), lab.Hold(t, pid(other))
	status, ok := lab.ReadStatus(pid(one))
	require.True(t, ok)
	p, err := detach.Find(status.Int(t, "PPid"))
	require.NoError(t, err)
	defer p.Close()
	_, err = p.Stop(t.Context(), detach.StopOptions{})
	require.NoError(t, err)
	require.False(t, below.Alive(), "its descendant")
	require.True(t, spared.Alive(), "a job beside it")
}

// One that is stopped does not read its console.
func TestStopByConsoleOfAStoppedDaemon(t *testing.T) {
	mark := lab.Mark()
	cmd := detach.Command("sh", "-c", "read x; echo $x", mark)
	cmd.Dir, cmd.PIDFile, cmd.Stdout = t.TempDir(), "pid", "log"
	cmd.Console, cmd.StopConsole = "console", "good night"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer p.Close()
	lab.KillMarked(t, mark)
	require.NoError(t, p.Signal(unix.SIGSTOP))
	lab.Until(t, "the stop", func() bool { s, ok := lab.ReadStatus(p.PID); return ok && s["State"][0] == 'T' })
	stopped, err := p.Stop(t.Context(), detach.StopOptions{})
	require.NoError(t, err)
	require.Equal(t, detach.StopConsole, stopped.How)
	require.Equal(t, "good night\n", lab.Content(t, p.Record.Stdout))
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
