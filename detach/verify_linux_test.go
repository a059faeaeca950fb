package detach

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
	"github.com/detachkit/detach/detach/internal/proc"
)

// The kernel may show a process between its fork and its exec, when the
// parent of the vfork goes on already. A healthy daemon must not be killed for
// it. Here a subshell is in that state for as long as the test likes.
func TestVerifyWaitsForTheExec(t *testing.T) {
	shell := exec.Command("sh", "-c", `exec 3<&0; (read go <&3; exec sleep 1000) & echo $!; wait`)
	in, err := shell.StdinPipe()
	require.NoError(t, err)
	out, err := shell.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, shell.Start())
	t.Cleanup(func() { _ = shell.Process.Kill(); _ = shell.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	pidfd, err := unix.PidfdOpen(pid, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = doublefork.Kill(pidfd)
		unix.Close(pidfd)
	})
	before, err := proc.ReadStat(pid)
	require.NoError(t, err)
	require.False(t, before.Execed())

	seen := make(chan proc.Stat)
	go func() {
		stat, err := readExeced(pid, pidfd)
		if err != nil {
			t.Error(err)
		}
		seen <- stat
	}()
	select {
	case <-seen:
		require.Fail(t, "it was not waited for")
	default:
	}
	_, err = in.Write([]byte("go\n"))
	require.NoError(t, err)
	stat := <-seen
	require.True(t, stat.Execed())
	require.Equal(t, before.Start, stat.Start)
}

// What verify refuses: each check fails for a daemon that is not detached in
// that respect, here this process, which is none.
func TestVerifyRefuses(t *testing.T) {
	self := doublefork.Process{PID: unix.Getpid(), Intermediate: unix.Getpid()}
	pidfd, err := unix.PidfdOpen(self.PID, 0)
	require.NoError(t, err)
	defer unix.Close(pidfd)
	self.PIDFD = pidfd
	report, _, err := verify(self, self.PID, "")
	require.ErrorIs(t, err, ErrNotDetached)
	failed := map[string]bool{}
	for _, c := range report.Checks {
		failed[c.Name] = !c.OK
	}
	require.Equal(t, map[string]bool{"exec": false, "session": true, "leader": true, "terminal": failed["terminal"], "parent": false, "alive": false}, failed)

	stat := proc.Stat{Parent: 10, Session: 20, TTY: 0x8801, Flags: 0x40}
	require.False(t, checkExec(stat).OK)
	require.Equal(t, Check{Name: "terminal", Got: "device 136:1", Want: "none"}, checkTerminal(stat, doublefork.Process{PID: 30, Intermediate: 20}))
	require.True(t, checkTerminal(proc.Stat{Session: 30, TTY: 0x8801}, doublefork.Process{PID: 30, Intermediate: 20}).OK)
	require.False(t, checkParent(stat, doublefork.Process{Intermediate: 10}, 11).OK)
	require.False(t, checkParent(stat, doublefork.Process{Intermediate: 11}, 10).OK)
	require.True(t, checkParent(stat, doublefork.Process{Intermediate: 11}, 12).OK)
}
