package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// One status tells of a thousand daemons, and one stop ends them. What that
// costs is in make bench.
func TestAThousandDaemons(t *testing.T) {
	const many = 1000
	dir, mark := t.TempDir(), lab.Mark()
	lab.KillMarked(t, mark)
	args := make([]string, many)
	for i := range args {
		cmd := detach.Command("sleep", mark)
		cmd.Dir, cmd.PIDFile = dir, fmt.Sprint(i, ".pid")
		p, err := cmd.Start(t.Context())
		require.NoError(t, err)
		p.Close()
		args[i] = filepath.Join(dir, cmd.PIDFile)
	}
	run := func(verb string) []string {
		cmd := exec.Command(lab.Bin(t, "detach"), append([]string{verb}, args...)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err)
		return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	}
	status := run("status")
	require.Len(t, status, 1+many)
	for i, line := range status[1:] {
		fields := strings.Fields(line)
		require.Equal(t, []string{args[i], "running"}, fields[:2])
	}
	stopped := run("stop")
	require.Len(t, stopped, many)
	for i, line := range stopped {
		require.Regexp(t, `^PID file `+args[i]+`: stopped in .* \(SIGTERM\)$`, line)
	}
	require.Empty(t, lab.WithArgument(t, mark))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
