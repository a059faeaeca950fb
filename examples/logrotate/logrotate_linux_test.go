package logrotate

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// server is a daemon that counts in its log, and logrotate for it.
type server struct {
	t              *testing.T
	log, conf, pid string
}

// start starts it, with the configuration here but for its path.
func start(t *testing.T, edit func(conf string) string) server {
	t.Helper()
	lab.Program(t, "logrotate")
	dir := t.TempDir()
	s := server{t, filepath.Join(dir, "console.log"), filepath.Join(dir, "detach.conf"), filepath.Join(dir, "pid")}
	const path = "/srv/*/logs/console.log"
	conf := lab.Content(t, "detach.conf")
	require.Equal(t, 1, strings.Count(conf, path))
	conf = edit(strings.ReplaceAll(conf, path, s.log))
	require.NoError(t, os.WriteFile(s.conf, []byte(conf), 0o600))
	out, err := exec.Command(lab.Bin(t, "detach"), "-o", s.log, "-p", s.pid, "--",
		"sh", "-c", `i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.01; done`).Output()
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	require.NoError(t, err)
	lab.Hold(t, pid)
	return s
}

func (s server) rotate() {
	s.t.Helper()
	out, err := exec.Command("logrotate", "-f", "-s", s.conf+".state", s.conf).CombinedOutput()
	require.NoError(s.t, err, "%s", out)
	require.Empty(s.t, string(out))
}

// follow runs detach logs -f and returns the file that it prints to.
func (s server) follow() string {
	s.t.Helper()
	out, err := os.Create(s.log + ".followed")
	require.NoError(s.t, err)
	s.t.Cleanup(func() { out.Close() })
	cmd := exec.Command(lab.Bin(s.t, "detach"), "logs", "-f", "-n", "all", s.pid)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(s.t, cmd.Start())
	lab.Hold(s.t, cmd.Process.Pid)
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return out.Name()
}

// counted returns the numbers of the lines of a file, each of which is whole
// and behind the one before. What is after the last newline is left out.
func (s server) counted(path string) []int {
	s.t.Helper()
	data := lab.Content(s.t, path)
	lines := strings.Split(data, "\n")
	var numbers []int
	for _, line := range lines[:len(lines)-1] {
		number, err := strconv.Atoi(strings.TrimPrefix(line, "line "))
		require.NoError(s.t, err, "%s: %q", path, line)
		if len(numbers) > 0 {
			require.Greater(s.t, number, numbers[len(numbers)-1], path)
		}
		numbers = append(numbers, number)
	}
	return numbers
}

// await waits until there are so many lines after a number in a file, and
// returns the last of them.
func (s server) await(path string, lines, after int) (last int) {
	s.t.Helper()
	lab.Until(s.t, fmt.Sprintf("%d lines after line %d in %s", lines, after, path), func() bool {
		numbers := s.counted(path)
		if len(numbers) < lines || numbers[len(numbers)-lines] <= after {
			return false
		}
		last = numbers[len(numbers)-1]
		return true
	})
	return last
}

func TestRotation(t *testing.T) {
	t.Parallel()
	s := start(t, func(conf string) string { return conf })
	followed := s.follow()
	last := 0
	for range 4 {
		// Enough for the follower to have looked at the log before it is as long
		// again.
		before := s.await(s.log, 100, last)
		s.await(followed, 1, last)
		s.rotate()

		// The copy has what was there, and the log begins again.
		last = s.await(s.log+".1", 1, before-1)
		s.await(s.log, 1, last)
		require.Greater(t, s.counted(s.log)[0], last)
		s.await(followed, 1, last)
	}
	for _, file := range []string{s.log, s.log + ".1", followed} {
		require.NotContains(t, lab.Content(t, file), "\x00")
	}
	require.FileExists(t, s.log+".2.gz")
	require.FileExists(t, s.log+".4.gz")
}

// Why the configuration does not say create: the log stays empty. Whoever
// followed it before goes on with the renamed file.
func TestCreateLeavesTheDaemonBehind(t *testing.T) {
	t.Parallel()
	s := start(t, func(conf string) string {
		require.Equal(t, 1, strings.Count(conf, "\tcopytruncate\n"))
		return strings.ReplaceAll(conf, "\tcopytruncate\n", "\tcreate\n")
	})
	followed := s.follow()
	last := s.await(followed, 1, 0)
	s.rotate()
	last = s.await(s.log+".1", 1, last+1)
	last = s.await(s.log+".1", 1, last)
	require.Empty(t, lab.Content(t, s.log))
	s.await(followed, 1, last)
}
