package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// requireAllOrNothing checks, when nobody is starting anything in dir any
// more, that the daemon runs and its PID file names it, or that neither is
// there. It ends the daemon and tells which it was.
func requireAllOrNothing(t *testing.T, dir, mark string) (started bool) {
	t.Helper()
	awaitClones(t, dir)
	data, err := os.ReadFile(filepath.Join(dir, "x.pid"))
	if os.IsNotExist(err) {
		require.Empty(t, lab.WithArgument(t, mark), "a daemon that no PID file names")
		return false
	}
	require.NoError(t, err)
	var pid int
	_, err = fmt.Sscanf(string(data), "%d\n", &pid)
	require.NoError(t, err, "half a PID file: %q", data)
	require.True(t, lab.Alive(pid), "a PID file without a daemon")
	// The kernel sets the arguments a moment after the descriptors.
	lab.Until(t, "the daemon that the PID file names, and no other", func() bool {
		found := lab.WithArgument(t, mark)
		return len(found) == 1 && found[0] == pid
	})
	require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	lab.Until(t, "its end", func() bool { return len(lab.WithArgument(t, mark)) == 0 })
	return true
}

// awaitClones waits for the clones of a detach that is dead already: they hold
// the lock of the folder until the program has been exec'd.
func awaitClones(t *testing.T, dir string) {
	t.Helper()
	lock, err := os.Open(dir)
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
}

// The caller and its whole process group are killed at a random moment of the
// start.
func TestBinaryKilledAtAnyMoment(t *testing.T) {
	bin := lab.Bin(t, "detach")
	mark := lab.Mark()
	lab.KillMarked(t, mark)
	// How long a start takes here and now: the moments are chosen within.
	begin := time.Now()
	require.NoError(t, exec.Command(bin, "--", "sleep", mark).Run())
	span := 2 * time.Since(begin)
	for _, pid := range lab.WithArgument(t, mark) {
		require.NoError(t, unix.Kill(pid, unix.SIGKILL))
	}
	lab.Until(t, "its end", func() bool { return len(lab.WithArgument(t, mark)) == 0 })

	started := 0
	const starts = 500
	for range starts {
		dir := t.TempDir()
		cmd := exec.Command(bin, "-p", "x.pid", "-o", "x.log", "--", "sleep", mark)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		require.NoError(t, cmd.Start())
		time.Sleep(rand.N(span)) // the moment is the point of this test
		require.NoError(t, unix.Kill(-cmd.Process.Pid, unix.SIGKILL))
		_ = cmd.Wait()
		if requireAllOrNothing(t, dir, mark) {
			started++
		}
	}
	t.Logf("%d of %d had started", started, starts)
	require.NotZero(t, started, "every one was killed too early to tell")
	require.NotEqual(t, starts, started, "every one was killed too late to tell")
}

// starter is a manager that starts daemons, one after the other, until it is
// killed: the n-th in a folder n, with the mark and n as its argument.
var _ = lab.Helper("starter", func(args []string) error {
	dir, mark := args[0], args[1]
	for n := 0; ; n++ {
		name := strconv.Itoa(n)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
		cmd := detach.Command("sleep", mark+name)
		cmd.Dir = filepath.Join(dir, name)
		cmd.PIDFile = "x.pid"
		daemon, err := cmd.Start(context.Background())
		if err != nil {
			return err
		}
		fmt.Println(n)
		daemon.Close()
	}
})

// The same for a manager that calls the package.
func TestManagerKilledAtAnyMoment(t *testing.T) {
	starts := 0
	for starts < 500 {
		dir, mark := t.TempDir(), lab.Mark()
		cmd := lab.HelperCommand(t, "starter", dir, mark)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		// After so many starts, and a part of one.
		for range 1 + rand.N(20) {
			_, err := fmt.Fscanln(out, new(int))
			require.NoError(t, err)
		}
		time.Sleep(rand.N(3 * time.Millisecond)) // the moment is the point of this test
		require.NoError(t, unix.Kill(-cmd.Process.Pid, unix.SIGKILL))
		_ = cmd.Wait()
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			requireAllOrNothing(t, filepath.Join(dir, e.Name()), mark+e.Name())
		}
		starts += len(entries)
	}
}
