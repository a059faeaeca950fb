package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// wait ends with the last of them, and says how each has ended.
func TestWaitForAll(t *testing.T) {
	args := []string{"wait"}
	var daemons []*lab.Held
	for range 3 {
		p, err := detach.Command("sleep", lab.Mark()).Start(t.Context())
		require.NoError(t, err)
		defer p.Close()
		daemons = append(daemons, lab.Hold(t, p.PID))
		args = append(args, p.Identity().String())
	}
	cmd := exec.Command(lab.Bin(t, "detach"), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	waiting := lab.Hold(t, cmd.Process.Pid)
	for _, d := range daemons {
		// It holds the daemon once it has found it.
		lab.Until(t, "a pidfd of each", func() bool {
			pidfds := 0
			for _, target := range lab.Descriptors(t, cmd.Process.Pid) {
				if strings.Contains(target, "pidfd") {
					pidfds++
				}
			}
			return pidfds >= 2*len(daemons) || d != daemons[0]
		})
		require.True(t, waiting.Alive())
		require.NoError(t, d.Signal(unix.SIGTERM))
	}
	require.NoError(t, cmd.Wait(), out.String())
	require.Equal(t, len(daemons), strings.Count(out.String(), ": ended, "), out.String())
	for _, id := range args[1:] {
		require.Contains(t, out.String(), id+": ended, killed by SIGTERM\n")
	}
}
