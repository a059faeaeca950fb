package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// Two starts with one PID file, and then fifty: exactly one daemon.
// Peers start a second server on the same world (knsd/daemonize#20,
// OpenIPC/firmware#2324).
func TestSimultaneousStarts(t *testing.T) {
	for _, n := range []int{2, 2, 2, 2, 2, 50, 50} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			a := newAttempt(t)
			type result struct {
				status int
				stderr string
			}
			results := make([]result, n)
			var wg sync.WaitGroup
			for i := range results {
				wg.Go(func() {
					results[i].status, results[i].stderr = a.run(nil, "-p", "x.pid", "-o", "x.log")
				})
			}
			wg.Wait()
			pid := a.pid("x.pid")
			started := 0
			for _, r := range results {
				if r.status == 0 {
					started++
					continue
				}
				require.Equal(t, statusFailed, r.status, r.stderr)
				require.Contains(t, r.stderr, fmt.Sprintf("detach: start with x.pid: already running as PID %d\n", pid))
			}
			require.Equal(t, 1, started)
			require.Equal(t, []int{pid}, lab.WithArgument(t, a.mark))
			require.ElementsMatch(t, []string{"x.pid", "x.pid.json", "x.log"}, a.files())
		})
	}
}

// What a second start finds is untouched, its log included.
func TestRefusedStartTouchesNothing(t *testing.T) {
	a := newAttempt(t)
	status, stderr := a.run(nil, "-p", "x.pid", "-o", "x.log", "--console", "x.in")
	require.Zero(t, status, stderr)
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "x.log"), []byte("precious\n"), 0o600))
	before := a.snapshot()

	status, stderr = a.run(nil, "-p", "x.pid", "-o", "x.log", "-e", "new.log", "--console", "new.in")
	require.Equal(t, statusFailed, status)
	require.Equal(t, fmt.Sprintf("detach: start with x.pid: already running as PID %d\nhint: stop it first, or choose another PID file\n", a.pid("x.pid")), stderr)
	require.Equal(t, before, a.snapshot())
	require.Equal(t, []int{a.pid("x.pid")}, lab.WithArgument(t, a.mark))
}

// snapshot describes every file of the folder: inode, times, size, content.
func (a *attempt) snapshot() map[string]string {
	a.t.Helper()
	files := map[string]string{}
	for _, name := range a.files() {
		path := filepath.Join(a.dir, name)
		var st unix.Stat_t
		require.NoError(a.t, unix.Lstat(path, &st))
		var content []byte
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			var err error
			content, err = os.ReadFile(path)
			require.NoError(a.t, err)
		}
		files[name] = fmt.Sprint(st.Ino, st.Mode, st.Size, st.Mtim, st.Ctim, string(content))
	}
	return files
}

// bystander is a process that must not be taken for the daemon.
func bystander(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", lab.Mark())
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// A PID that has been given to another process is no daemon of ours: not by
// its start time, not after a reboot. It is left alone, and the PID file is
// replaced. Without a record nobody can tell, and the process is believed.
func TestExistingPIDFile(t *testing.T) {
	stranger := bystander(t)
	self := identityOf(t, stranger.Process.Pid)
	zombie := exec.Command("true")
	require.NoError(t, zombie.Start())
	t.Cleanup(func() { _ = zombie.Wait() })
	lab.Until(t, "a zombie", func() bool {
		s, ok := lab.ReadStatus(zombie.Process.Pid)
		return ok && s.Zombie()
	})
	otherStart, otherBoot := self, self
	otherStart.Start++
	otherBoot.BootID = "00000000-0000-0000-0000-000000000000"

	for name, c := range map[string]struct {
		pid     string
		record  any
		running bool
	}{
		"the same process":             {pid: fmt.Sprintln(self.PID), record: record(self), running: true},
		"another start time":           {pid: fmt.Sprintln(self.PID), record: record(otherStart)},
		"another boot":                 {pid: fmt.Sprintln(self.PID), record: record(otherBoot)},
		"a record of another PID":      {pid: fmt.Sprintln(self.PID), record: record(detach.Identity{PID: 1}), running: true},
		"no record, alive":             {pid: fmt.Sprintln(self.PID), running: true},
		"no record, no newline, alive": {pid: fmt.Sprint(self.PID), running: true},
		"no record, a thread":          {pid: fmt.Sprintln(otherThread(t))},
		"no record, a zombie":          {pid: fmt.Sprintln(zombie.Process.Pid)},
		"no record, no process":        {pid: "1073741823\n"},
		"no record, empty":             {pid: ""},
		"no PID file, a record":        {record: record(self)},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t)
			if c.pid != "" || c.record == nil {
				require.NoError(t, os.WriteFile(filepath.Join(a.dir, "x.pid"), []byte(c.pid), 0o600))
			}
			if c.record != nil {
				data, err := json.Marshal(c.record)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(a.dir, "x.pid.json"), data, 0o600))
			}
			before := a.snapshot()
			status, stderr := a.run(nil, "-p", "x.pid")
			require.True(t, lab.Alive(self.PID))
			if c.running {
				require.Equal(t, statusFailed, status)
				require.Contains(t, stderr, fmt.Sprintf("already running as PID %d\n", self.PID))
				require.Equal(t, before, a.snapshot())
				require.Empty(t, lab.WithArgument(t, a.mark))
				return
			}
			require.Zero(t, status, stderr)
			require.Equal(t, []int{a.pid("x.pid")}, lab.WithArgument(t, a.mark))
		})
	}
}

func record(id detach.Identity) detach.Record { return detach.Record{Version: 1, Identity: id} }

// identityOf reads what an identity is made of, by means of its own.
func identityOf(t *testing.T, pid int) detach.Identity {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	id := detach.Identity{PID: pid, BootID: strings.TrimSpace(string(boot))}
	_, err = fmt.Sscan(fields[22-3], &id.Start)
	require.NoError(t, err)
	return id
}

// otherThread returns the ID of a thread of this process that is not its first.
func otherThread(t *testing.T) int {
	t.Helper()
	ids := make(chan int)
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	for {
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the test
			ids <- unix.Gettid()
			<-done
		}()
		if id := <-ids; id != os.Getpid() {
			return id
		}
	}
}
