package detach_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// notifying is a program that sends each line of its console to NOTIFY_SOCKET.
const notifying = `
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
print("to", os.environ["NOTIFY_SOCKET"], flush=True)
for line in sys.stdin:
    s.sendto(line.strip().encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
`

// A message from outside of the daemon's session is not its own.
func TestReadyByAStranger(t *testing.T) {
	dir := t.TempDir()
	cmd := detach.Command(lab.Program(t, "python3"), "-c", notifying)
	cmd.Dir, cmd.Stdout, cmd.Console, cmd.PIDFile = dir, "log", "in", "pid"
	told := make(chan detach.ReadyProgress, 1000)
	cmd.Ready = detach.Ready{When: []detach.Condition{detach.Notify{}}, Progress: func(p detach.ReadyProgress) { told <- p }}
	var p *detach.Process
	started := make(chan error, 1)
	go func() {
		var err error
		p, err = cmd.Start(t.Context())
		started <- err
	}()
	log := filepath.Join(dir, "log")
	lab.Until(t, "the address", func() bool { return lab.Contains(log, "\n") })
	address := strings.TrimSpace(strings.TrimPrefix(lab.Content(t, log), "to "))

	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(socket)
	require.NoError(t, unix.Sendto(socket, []byte("READY=1\nSTATUS=a lie"), 0, &unix.SockaddrUnix{Name: address}))
	console, err := os.OpenFile(filepath.Join(dir, "in"), os.O_WRONLY, 0)
	require.NoError(t, err)
	defer console.Close()
	_, err = console.WriteString("STATUS=the truth\n")
	require.NoError(t, err)
	for s := (detach.ReadyProgress{}); s.Status != "the truth"; s = <-told {
		require.NotEqual(t, "a lie", s.Status)
	}
	require.Empty(t, started)
	_, err = console.WriteString("READY=1\n")
	require.NoError(t, err)
	require.NoError(t, <-started)
	defer p.Close()
	lab.Hold(t, p.PID)
	require.Equal(t, detach.ReadinessReached, p.Record.Readiness)
	require.Nil(t, p.Record.Starter)
}

// Whatever comes of it, nothing is left open in the manager, and nothing of
// the daemon.
func TestNothingIsLeftOfWhatIsNotReady(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	never := detach.LogLine{Regexp: regexp.MustCompile("never")}
	for name, c := range map[string]struct {
		ctx    context.Context
		script string
		ready  detach.Ready
		want   error
	}{
		"it ends":  {t.Context(), "until test -e pid.json; do :; done; echo bye", detach.Ready{When: []detach.Condition{detach.Notify{}, detach.NotifyFD(3), detach.TCP("1"), never}}, detach.ErrExited},
		"time-out": {t.Context(), "sleep 1000", detach.Ready{When: []detach.Condition{detach.Notify{}, detach.NotifyFD(10)}, Timeout: 50 * time.Millisecond}, context.DeadlineExceeded},
		"given up": {cancelled, "sleep 1000", detach.Ready{When: []detach.Condition{detach.Alive(time.Hour), detach.TCP("1")},
			Progress: func(detach.ReadyProgress) { cancel() }}, context.Canceled},
		"it says so":    {t.Context(), "echo no; sleep 1000", detach.Ready{When: []detach.Condition{detach.Alive(time.Hour)}, Fail: []*regexp.Regexp{regexp.MustCompile("^no$")}}, detach.ErrFailed},
		"it closes it":  {t.Context(), "exec 7>&-; sleep 1000", detach.Ready{When: []detach.Condition{detach.NotifyFD(7)}}, detach.ErrFailed},
		"ignores TERM":  {t.Context(), "trap '' TERM; echo no; while :; do sleep 1; done", detach.Ready{When: []detach.Condition{never}, Fail: []*regexp.Regexp{regexp.MustCompile("no")}}, detach.ErrFailed},
		"has a session": {t.Context(), `setsid sh -c 'echo no; sleep 1000' & while :; do sleep 1; done`, detach.Ready{When: []detach.Condition{never}, Fail: []*regexp.Regexp{regexp.MustCompile("no")}}, detach.ErrFailed},
		"leaves others": {t.Context(), "sleep 1000 & until test -e pid.json; do :; done; exit 3", detach.Ready{When: []detach.Condition{never}}, detach.ErrExited},
	} {
		t.Run(name, func(t *testing.T) {
			mark := lab.Mark()
			lab.KillMarked(t, mark)
			cmd := detach.Command("sh", "-c", strings.ReplaceAll(c.script, "1000", mark), mark)
			cmd.Dir, cmd.Stdout, cmd.PIDFile = t.TempDir(), "log", "pid"
			cmd.Ready = c.ready
			before := lab.Descriptors(t, os.Getpid())
			p, err := cmd.Start(c.ctx)
			require.Nil(t, p)
			require.ErrorIs(t, err, c.want)
			var e *detach.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "start", e.Op)
			var notReady *detach.NotReadyError
			require.ErrorAs(t, err, &notReady)
			require.NotEmpty(t, notReady.Waiting)
			if notReady.Exit.Known {
				require.Equal(t, map[string]int{"leaves others": 3}[name], notReady.Exit.Code)
			}
			require.Equal(t, slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(lab.Descriptors(t, os.Getpid()))))
			require.Empty(t, lab.WithArgument(t, mark))
			entries, err := os.ReadDir(cmd.Dir)
			require.NoError(t, err)
			require.Len(t, entries, 1, "the log")
		})
	}
}

// Other starts in the same folder do not wait for one that is not ready yet.
func TestReadyDoesNotHoldUpOthers(t *testing.T) {
	dir := t.TempDir()
	start := func(name string, ready ...detach.Condition) (*detach.Process, error) {
		cmd := detach.Command("sleep", lab.Mark())
		cmd.Dir, cmd.PIDFile, cmd.Ready.When = dir, name, ready
		return cmd.Start(t.Context())
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		cmd := detach.Command("sleep", lab.Mark())
		cmd.Dir, cmd.PIDFile, cmd.Ready.When = dir, "slow", []detach.Condition{detach.Alive(time.Hour)}
		_, err := cmd.Start(ctx)
		waiting <- err
	}()
	lab.Until(t, "the slow one", func() bool { return lab.Contains(filepath.Join(dir, "slow.json"), "waiting") })
	p, err := start("quick", detach.Alive(0))
	require.NoError(t, err)
	lab.Hold(t, p.PID)
	p.Close()
	// One that is being waited for runs already.
	_, err = start("slow")
	var running *detach.RunningError
	require.ErrorAs(t, err, &running)
	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled)
}

// Two managers write to one console, and their lines do not mix.
func TestSendDoesNotMixLines(t *testing.T) {
	cmd := detach.Command("cat")
	cmd.Dir = t.TempDir()
	cmd.Console, cmd.Stdout, cmd.PIDFile = "in", "log", "pid"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer p.Close()
	lab.Hold(t, p.PID)
	const managers, lines = 4, 50
	var all sync.WaitGroup
	want := map[string]int{}
	errs := make(chan error, managers*lines)
	for m := range managers {
		line := strings.Repeat(fmt.Sprint(m), 4095-m)
		want[line] = lines
		all.Go(func() {
			other, err := detach.Open(p.Record.PIDFile)
			if err != nil {
				errs <- err
				return
			}
			defer other.Close()
			for range lines {
				errs <- other.Send(t.Context(), line)
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	lab.Until(t, "all lines", func() bool { return strings.Count(lab.Content(t, p.Record.Stdout), "\n") == managers*lines })
	got := map[string]int{}
	for line := range strings.Lines(lab.Content(t, p.Record.Stdout)) {
		got[strings.TrimSuffix(line, "\n")]++
	}
	require.True(t, maps.Equal(want, got))
}

func TestCheckOfADaemon(t *testing.T) {
	p := startScript(t, "echo up; read x")
	line := func(re string) detach.Condition { return detach.LogLine{Regexp: regexp.MustCompile(re)} }
	require.NoError(t, p.Check(t.Context(), line("^up$")))
	require.ErrorContains(t, p.Check(t.Context(), line("^down$")), "no line matches")
	require.ErrorContains(t, p.Check(t.Context(), detach.TCP("1")), "it does not listen there")
	require.Error(t, p.Check(t.Context(), nil))
	for _, c := range []detach.Condition{detach.Alive(0), detach.Notify{}, detach.NotifyFD(3)} {
		require.ErrorContains(t, p.Check(t.Context(), c), "unsupported")
	}
	require.NoError(t, p.Kill(t.Context()))
	require.ErrorIs(t, p.Check(t.Context(), line("up")), detach.ErrExited)
}
