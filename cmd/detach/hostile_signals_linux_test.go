package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

const (
	noSignals  = "0000000000000000"
	allSignals = "fffffffffffbfeff" // but SIGKILL and SIGSTOP
)

// Ignored and blocked signals survive execve(2). A server that was started so
// cannot be stopped: ralphlange/procServ#48, antirez/hping#61, golang/go#20479;
// daemon(1) --stop says it is done, and the daemon runs on.
func TestSignalsAreReset(t *testing.T) {
	for name, c := range map[string]struct {
		flags            []string
		ignored, blocked string // in the caller
	}{
		"all ignored":             {[]string{"-ignore-all"}, allSignals, noSignals},
		"all blocked":             {[]string{"-block-all"}, noSignals, allSignals},
		"all ignored and blocked": {[]string{"-ignore-all", "-block-all"}, allSignals, allSignals},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := hostile(t, c.flags...)
			caller, err := exec.Command(prefix[0], append(prefix[1:], "cat", "/proc/self/status")...).Output()
			require.NoError(t, err)
			require.Contains(t, string(caller), "SigIgn:\t"+c.ignored)
			require.Contains(t, string(caller), "SigBlk:\t"+c.blocked)

			daemon, stderr := started(t, launch(t, prefix, "--", "sleep", "1000"))
			require.Empty(t, stderr)
			s := status(t, daemon)
			require.Equal(t, noSignals, s["SigIgn"])
			require.Equal(t, noSignals, s["SigBlk"])
			require.Equal(t, noSignals, s["SigCgt"])
			require.NoError(t, daemon.Signal(unix.SIGTERM))
			daemon.AwaitEnd(t)
		})
	}
}

// What the program does to its signals is its own affair.
func TestProgramIgnoresSignal(t *testing.T) {
	cmd := launch(t, hostile(t, "-ignore-all", "-block-all"), "-o", "log", "--", "sh", "-c", `trap "" HUP; echo; exec sleep 1000`)
	daemon, _ := started(t, cmd)
	lab.AwaitContent(t, "\n", cmd.Dir, "log")
	require.Equal(t, "0000000000000001", status(t, daemon)["SigIgn"])
}
