package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// asChild makes detach a child of a shell, the manager, that prints its PID on
// standard error first.
func asChild(cmd *exec.Cmd, hostile []string, then string) *exec.Cmd {
	argv := slices.Concat(hostile, []string{"sh", "-c", `echo $$ >&2; "$0" "$@"; ` + then}, cmd.Args)
	child := exec.Command(argv[0], argv[1:]...)
	child.Dir = cmd.Dir
	return child
}

// Orphans go to the nearest subreaper, not to PID 1. If that is the manager
// the daemon is still in its process tree, and the manager has to be told:
// OpenHands/software-agent-sdk#3043, krallin/tini#130.
func TestManagerIsSubreaper(t *testing.T) {
	cmd := asChild(launch(t, nil, "--json", "--", "sleep", "1000"), hostile(t, "-subreaper"), "read line")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	var said saidJSON
	require.NoError(t, json.NewDecoder(out).Decode(&said))
	daemon := lab.Hold(t, said.PID)
	require.Equal(t, cmd.Process.Pid, status(t, daemon).Int(t, "PPid"))
	require.NoError(t, in.Close())
	require.Error(t, cmd.Wait(), "read has met the end of file")

	require.Len(t, said.Hazards, 1)
	require.Equal(t, detach.HazardReaper, said.Hazards[0].Code)
	for _, check := range said.Checks {
		require.Equal(t, check.Name != "parent", check.OK, check)
	}
	require.Equal(t, fmt.Sprintf("%[1]d\n"+
		"detach: warning: the manager, PID %[1]d, is a subreaper: the daemon stays in its process tree, "+
		"and whoever walks and kills that tree kills the daemon\n"+
		"hint: start it from a process that is no subreaper (PR_SET_CHILD_SUBREAPER)\n", cmd.Process.Pid), stderr.String())
}

// A subreaper further up is not the manager: nothing is to be told.
func TestManagerIsNoSubreaper(t *testing.T) {
	for name, prefix := range map[string][]string{
		"none":            nil,
		"detach itself":   hostile(t, "-subreaper"), // it becomes detach
		"the grandparent": append(hostile(t, "-subreaper"), "sh", "-c", `sh -c '"$@"; :' sh "$@"; :`, "sh"),
	} {
		t.Run(name, func(t *testing.T) {
			said, stderr := startedAs(t, launch(t, prefix, "--json", "--", "sleep", "1000"))
			require.Empty(t, said.Hazards)
			require.Empty(t, stderr)
			require.Len(t, said.Checks, 6)
			for _, check := range said.Checks {
				require.True(t, check.OK, check)
			}
		})
	}
}

// A caller that ignores SIGCHLD has no children to wait for.
func TestIgnoredSIGCHLD(t *testing.T) {
	for name, hostility := range map[string][]string{
		"ignored": hostile(t, "-ignore-chld"),
		"default": nil,
	} {
		t.Run(name, func(t *testing.T) {
			daemon, stderr := started(t, launch(t, hostility, "--", "sleep", "1000"))
			require.Empty(t, stderr)
			session := status(t, daemon).Int(t, "NSsid")
			require.NotEqual(t, session, daemon.PID)
			require.NoDirExists(t, fmt.Sprintf("/proc/%d", session), "the helper between is gone and reaped")
		})
	}
}

// The parent-death signal survives execve(2), and one set by a library for the
// sake of its children ends daemons: moby/sys/reexec, golang/go#27505.
func TestManagerIsKilled(t *testing.T) {
	for name, flags := range map[string][]string{
		"alone":                      nil,
		"with a parent-death signal": {"-pdeathsig", "9"},
		"as a subreaper too":         {"-pdeathsig", "9", "-subreaper"},
	} {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread() // its end would be the parent's death
			defer runtime.UnlockOSThread()
			detach := launch(t, nil, "-q", "-p", "pid", "--", "sleep", "1000")
			cmd := asChild(detach, hostile(t, flags...), "kill -KILL $$")
			require.Error(t, cmd.Run())
			require.Equal(t, "signal: killed", cmd.ProcessState.String())
			daemon := lab.Hold(t, pidIn(t, cmd.Dir, "pid"))
			require.NotEqual(t, cmd.Process.Pid, status(t, daemon).Int(t, "PPid"))
			require.True(t, daemon.Alive())
		})
	}
}

// On a terminal the daemon neither has it nor can get one, by opening it
// either: this is what the second fork is for.
func TestTerminal(t *testing.T) {
	cmd := launch(t, nil, "-p", "pid", "-o", "log", "--", "sh", "-c", `true </dev/tty; exec 3<>"$0"; exec sleep 1000`)
	master, tty, err := pty.Open()
	require.NoError(t, err)
	defer master.Close()
	defer tty.Close()
	cmd.Args = append(cmd.Args, tty.Name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Run())
	daemon := lab.Hold(t, pidIn(t, cmd.Dir, "pid"))

	log := filepath.Join(cmd.Dir, "log")
	lab.Until(t, "the program to have opened the terminal", func() bool {
		return lab.Descriptors(t, daemon.PID)[3] == tty.Name()
	})
	said, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Contains(t, string(said), "/dev/tty: No such device or address") // ENXIO
	const controllingTerminal = 7
	require.Equal(t, "0", stat(t, daemon.PID, controllingTerminal))
	s := status(t, daemon)
	require.NotEqual(t, daemon.PID, s.Int(t, "NSsid"), "session leader")
	require.NotEqual(t, daemon.PID, s.Int(t, "NSpgid"), "group leader")
	require.NotEqual(t, cmd.Process.Pid, s.Int(t, "NSsid"), "the caller's session")
	require.Equal(t, os.DevNull, lab.Descriptors(t, daemon.PID)[0])
}

// Nor is it a log: neither by the name that means one's own, nor by its own.
func TestTerminalAsLog(t *testing.T) {
	master, tty, err := pty.Open()
	require.NoError(t, err)
	defer master.Close()
	defer tty.Close()
	for _, name := range []string{"/dev/tty", tty.Name()} {
		cmd := launch(t, nil, "-o", name, "-p", "pid", "--", "sleep", "1000")
		cmd.Stdin = tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		require.Contains(t, failed(t, cmd, statusFailed),
			"detach: open "+name+": is a FIFO, a socket or a terminal, which does not outlive its other end\n")
		requireNoFiles(t, cmd.Dir)
	}
}

// In a container the manager may be PID 1: with it everything ends.
func TestManagerIsInitOfItsContainer(t *testing.T) {
	lab.Root(t)
	out, err := exec.Command(lab.Program(t, "unshare"), "--pid", "--fork", "--mount-proc", "--kill-child",
		"sh", "-c", `"$0" -- sleep 1000; echo $?; :`, lab.Bin(t, "detach")).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Regexp(t, `^detach: warning: the manager is PID 1 of its PID namespace: when it ends, the kernel kills everything in it
hint: .*
[0-9]+
0
$`, string(out))
}
