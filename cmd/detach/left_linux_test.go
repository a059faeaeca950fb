package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// runVerb runs a verb in a folder, and returns its exit status and what it says.
func runVerb(t *testing.T, dir string, args ...string) (status int, said string) {
	t.Helper()
	cmd := exec.Command(lab.Bin(t, "detach"), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// A wrapper dies and leaves its server behind: the status is that of a dead
// daemon, and tells of it.
func TestStatusOfWhatADeadDaemonHasLeft(t *testing.T) {
	mark := lab.Mark()
	lab.KillMarked(t, mark)
	cmd := detach.Command("sh", "-c", "sleep "+mark+" & echo $! >child; echo up; while :; do read x; done")
	cmd.Dir, cmd.PIDFile, cmd.Stdout, cmd.Console = t.TempDir(), "pid", "log", "in"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer p.Close()
	daemon := lab.Hold(t, p.PID)
	lab.Until(t, "its child", func() bool { return lab.Contains(p.Record.Stdout, "up") })
	child := pidIn(t, cmd.Dir, "child")
	held := lab.Hold(t, child)
	require.NoError(t, daemon.Signal(unix.SIGKILL))
	daemon.AwaitEnd(t)
	lab.Until(t, "the end of the zombie", func() bool { _, ok := lab.ReadStatus(p.PID); return !ok })

	status, said := runVerb(t, cmd.Dir, "status", "pid")
	require.Equal(t, lsbDead, status, said)
	require.Regexp(t, `(?m)^state +dead$`, said)
	require.Regexp(t, fmt.Sprintf(`(?m)^left +PID %d$`, child), said)
	require.Regexp(t, `(?m)^note +it has ended, and left processes behind in its session$`, said)
	status, said = runVerb(t, cmd.Dir, "status", "--json", "pid.json")
	require.Equal(t, lsbDead, status, said)
	var l struct {
		Left      []int
		Processes int
	}
	require.NoError(t, json.Unmarshal([]byte(said), &l))
	require.Equal(t, []int{child}, l.Left)
	require.Equal(t, 1, l.Processes)
	status, said = runVerb(t, cmd.Dir, "status", "pid", "none")
	require.Equal(t, lsbAbsent, status)
	require.Regexp(t, `(?m)^pid +dead +.* 1 left `, said)

	status, said = runVerb(t, cmd.Dir, "stop", "pid")
	require.Zero(t, status, said)
	require.False(t, held.Alive())
	require.NoFileExists(t, p.Record.PIDFile)
}

// The number of a thread is no PID: to say that it does not run would be wrong.
func TestThreadIsNoTarget(t *testing.T) {
	server := exec.Command(lab.Program(t, "python3"), "-c", `
import threading, time
for _ in range(2): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("up", flush=True)
time.sleep(1000)`)
	out, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	held := lab.Hold(t, server.Process.Pid)
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)
	pid := fmt.Sprint(server.Process.Pid)
	threads, err := os.ReadDir(filepath.Join("/proc", pid, "task"))
	require.NoError(t, err)
	thread := threads[len(threads)-1].Name()
	require.NotEqual(t, pid, thread)
	for verb, want := range map[string]int{"stop": statusFailed, "wait": statusFailed, "status": lsbUnknown, "verify": verifyUnknown, "logs": statusFailed, "send": statusFailed} {
		args := []string{verb, thread}
		if verb == "send" {
			args = append(args, "x")
		}
		status, said := runVerb(t, "/", args...)
		require.Equal(t, want, status, "%s: %s", verb, said)
		require.True(t, strings.HasPrefix(said, "detach: find "+thread+": is a thread of PID "+pid+"\n"), "%s: %s", verb, said)
	}
	require.True(t, held.Alive())
}
