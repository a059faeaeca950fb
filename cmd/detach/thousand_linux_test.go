package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// One status tells of a thousand daemons, and one stop ends them, in times that
// are those of ps(1) and of a loop of kill(1) for as many, give or take.
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
	var pids []string
	for _, pid := range lab.WithArgument(t, mark) {
		pids = append(pids, strconv.Itoa(pid))
	}
	require.Len(t, pids, many)
	took := func(argv ...string) time.Duration {
		began := time.Now()
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		return time.Since(began)
	}
	compare := func(verb string, ours, theirs time.Duration) {
		t.Logf("%s takes %.2f of what the other does", verb, ours.Seconds()/theirs.Seconds())
		require.Less(t, ours, 20*theirs, verb)
	}
	ps := took(lab.Program(t, "ps"), "-o", "pid,stat,lstart,time,rss,args", "-p", strings.Join(pids, ","))
	loop := took(append([]string{"sh", "-c", `for pid; do "$0" -0 $pid; done`, lab.Program(t, "kill")}, pids...)...)
	var verbTook time.Duration
	run := func(verb string) []string {
		began := time.Now()
		defer func() { verbTook = time.Since(began) }()
		cmd := exec.Command(lab.Bin(t, "detach"), append([]string{verb}, args...)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err)
		return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	}
	status := run("status")
	compare("status", verbTook, ps)
	require.Len(t, status, 1+many)
	for i, line := range status[1:] {
		fields := strings.Fields(line)
		require.Equal(t, []string{args[i], "running"}, fields[:2])
	}
	stopped := run("stop")
	compare("stop", verbTook, loop)
	require.Len(t, stopped, many)
	for i, line := range stopped {
		require.Regexp(t, `^PID file `+args[i]+`: stopped in .* \(SIGTERM\)$`, line)
	}
	require.Empty(t, lab.WithArgument(t, mark))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
