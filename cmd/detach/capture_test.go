//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// A daemon that keeps the pipe of whoever captures the launcher's output makes
// it wait for ever: golang/go#23019, python/cpython#82388. The daemon runs when
// the capture returns, so it would otherwise not have returned.
func TestCapturedOutput(t *testing.T) {
	for name, capture := range map[string][]string{
		"os/exec": {},
		"sh":      {"sh", "-c", `pid=$("$0" "$@" 2>&1) && echo "$pid"`},
		"sh, all descriptors": {"sh", "-c",
			`exec 3>&1; pid=$("$0" "$@" 2>&1 4>&1 5>&1 6>&1) && echo "$pid"`},
		"a pipeline": {"sh", "-c", `"$0" "$@" 2>&1 | cat`},
		"subprocess.run": {"python3", "-c", `
import subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, check=True)
assert done.stderr == b"", done.stderr
sys.stdout.buffer.write(done.stdout)`},
		"subprocess.run, inherited": {"python3", "-c", `
import os, subprocess, sys
r, w = os.pipe()
subprocess.run(sys.argv[1:], check=True, stdout=w, stderr=w, pass_fds=[w])
os.close(w)
sys.stdout.buffer.write(os.fdopen(r, "rb").read())`},
	} {
		t.Run(name, func(t *testing.T) {
			if len(capture) > 0 {
				lab.Program(t, capture[0])
			}
			argv := append(capture, lab.Bin(t, "detach"), "--", "sleep", "1000")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
			cmd.WaitDelay = time.Second // then it waits no longer for the pipe
			out, failure := cmd.CombinedOutput()
			pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
			require.NoError(t, err, string(out))
			daemon := lab.Hold(t, pid)
			require.NoError(t, ctx.Err(), "it waits for the daemon")
			require.NoError(t, failure)
			require.Equal(t, fmt.Sprintln(pid), string(out))
			require.True(t, daemon.Alive())
		})
	}
}
