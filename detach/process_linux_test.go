package detach_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// startSleep starts a daemon with a PID file in a folder of its own.
func startSleep(t *testing.T) *detach.Process {
	t.Helper()
	cmd := detach.Command("sleep", lab.Mark())
	cmd.Dir = t.TempDir()
	cmd.PIDFile = "x.pid"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = p.Kill(context.Background())
		p.Close()
	})
	return p
}

func TestRecord(t *testing.T) {
	p := startSleep(t)
	require.True(t, p.Report.OK(), "%+v", p.Report)
	require.Equal(t, p.PID, p.Identity().PID)
	dir := p.Record.Dir
	require.Equal(t, filepath.Join(dir, "x.pid"), p.Record.PIDFile)

	content, err := os.ReadFile(p.Record.PIDFile)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintln(p.PID), string(content))
	content, err = os.ReadFile(p.Record.PIDFile + ".json")
	require.NoError(t, err)
	var r detach.Record
	require.NoError(t, json.Unmarshal(content, &r))
	require.Equal(t, p.Record, r)

	s, ok := lab.ReadStatus(p.PID)
	require.True(t, ok)
	require.Equal(t, r.Session, s.Int(t, "NSsid"))
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", p.PID))
	require.NoError(t, err)
	require.Equal(t, cwd, dir)
}

func TestOpen(t *testing.T) {
	p := startSleep(t)
	again, err := detach.Open(p.Record.PIDFile)
	require.NoError(t, err)
	defer again.Close()
	require.Equal(t, p.Record, again.Record)

	require.NoError(t, os.Remove(p.Record.PIDFile+".json"))
	unrecorded, err := detach.Open(p.Record.PIDFile)
	require.NoError(t, err)
	defer unrecorded.Close()
	require.Equal(t, detach.Record{Identity: p.Identity(), Session: p.Record.Session, PIDFile: p.Record.PIDFile}, unrecorded.Record)

	// It may be another process: it is not signalled.
	require.ErrorIs(t, unrecorded.Signal(unix.SIGKILL), detach.ErrNoRecord)
	require.ErrorIs(t, unrecorded.Kill(t.Context()), detach.ErrNoRecord)
	require.True(t, lab.Alive(p.PID))

	require.NoError(t, again.Signal(unix.SIGKILL))
	require.NoError(t, wait(t.Context(), p))
	_, err = detach.Open(p.Record.PIDFile)
	require.ErrorIs(t, err, detach.ErrExited)
	require.NoError(t, os.Remove(p.Record.PIDFile))
	_, err = detach.Open(p.Record.PIDFile)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = detach.Open(filepath.Join(p.Record.Dir, "missing", "x.pid"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// wait is Wait of a daemon of which nobody wants to know how it ended.
func wait(ctx context.Context, p *detach.Process) error {
	_, err := p.Wait(ctx)
	return err
}

func TestWait(t *testing.T) {
	p := startSleep(t)
	cancelled, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	ended := make(chan error, 10)
	for range cap(ended) { // one that gives up must not wake the others
		wg.Go(func() { ended <- wait(t.Context(), p) })
	}
	gaveUp := make(chan error)
	go func() { gaveUp <- wait(cancelled, p) }()
	cancel()
	require.ErrorIs(t, <-gaveUp, context.Canceled)
	require.ErrorIs(t, wait(cancelled, p), context.Canceled)
	require.Empty(t, ended)
	require.NoError(t, p.Signal(unix.SIGTERM))
	wg.Wait()
	for range cap(ended) {
		require.NoError(t, <-ended)
	}
}

func TestSignalAfterTheEnd(t *testing.T) {
	p := startSleep(t)
	require.NoError(t, p.Kill(context.Background()))
	require.NoFileExists(t, p.Record.PIDFile)
	require.NoFileExists(t, p.Record.PIDFile+".json")
	// Whoever reaps orphans here may not have done so yet.
	lab.Until(t, "ESRCH", func() bool { return errors.Is(p.Signal(unix.SIGTERM), os.ErrProcessDone) })
	require.NoError(t, p.Kill(context.Background()), "a second time")
	require.NoError(t, p.Close())
	require.ErrorIs(t, p.Signal(unix.SIGTERM), os.ErrClosed)
	require.ErrorIs(t, wait(t.Context(), p), os.ErrClosed)
}

// Kill removes what is the daemon's, and not what a later one has put there.
func TestKillSparesTheFilesOfAnother(t *testing.T) {
	p := startSleep(t)
	require.NoError(t, p.Signal(unix.SIGKILL))
	require.NoError(t, wait(t.Context(), p))
	cmd := detach.Command("sleep", lab.Mark())
	cmd.PIDFile = p.Record.PIDFile
	next, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer next.Close()
	require.NoError(t, p.Kill(context.Background()))
	require.FileExists(t, p.Record.PIDFile)
	require.NoError(t, next.Kill(context.Background()))
	require.NoFileExists(t, p.Record.PIDFile)
}

// A lock that somebody else holds is waited for as long as the context allows.
func TestLockedFolder(t *testing.T) {
	dir := t.TempDir()
	lock, err := os.Open(dir)
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	ctx, cancel := context.WithCancel(t.Context())
	cmd := detach.Command("sleep", lab.Mark())
	cmd.PIDFile = filepath.Join(dir, "x.pid")
	result := make(chan error)
	go func() {
		_, err := cmd.Start(ctx)
		result <- err
	}()
	select {
	case err := <-result:
		require.Fail(t, "did not wait", "%v", err)
	default:
	}
	cancel()
	err = <-result
	require.ErrorIs(t, err, context.Canceled)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestCmdMayBeUsedAgainAndAtOnce(t *testing.T) {
	cmd := detach.Command("sleep", lab.Mark())
	before := *cmd
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, err := cmd.Start(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			if err := p.Kill(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, before, *cmd)
}

// The files are removed from where the daemon was found, not from where it was
// started.
func TestKillAfterTheFolderWasMoved(t *testing.T) {
	p := startSleep(t)
	moved := filepath.Join(t.TempDir(), "moved")
	require.NoError(t, os.Rename(p.Record.Dir, moved))
	again, err := detach.Open(filepath.Join(moved, "x.pid"))
	require.NoError(t, err)
	defer again.Close()
	require.NoError(t, again.Kill(t.Context()))
	entries, err := os.ReadDir(moved)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestKillDoesNotWaitForEver(t *testing.T) {
	p := startSleep(t)
	lock, err := os.Open(p.Record.Dir)
	require.NoError(t, err)
	require.NoError(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- p.Kill(ctx) }()
	require.NoError(t, wait(t.Context(), p))
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	require.NoError(t, lock.Close())
}

// A manager that adopts orphans is the one to reap them.
func TestDaemonsOfASubreaperAreReaped(t *testing.T) {
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	p := startSleep(t)
	require.Len(t, p.Report.Hazards, 1)
	require.NoError(t, p.Signal(unix.SIGTERM))
	require.NoError(t, wait(t.Context(), p))
	_, err := unix.Wait4(p.PID, nil, unix.WALL, nil)
	require.Equal(t, unix.ECHILD, err)
}
