//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// tourOf returns a tour that keeps its folder in a temporary one, where nothing
// may be left of it when the test is over.
func tourOf(t *testing.T, launcher string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	temporary := t.TempDir()
	t.Cleanup(func() {
		entries, err := os.ReadDir(temporary)
		require.NoError(t, err)
		require.Empty(t, entries)
		lab.Until(t, "no process works in the folder of the tour", func() bool {
			return len(workingIn(t, temporary)) == 0
		})
	})
	cmd = exec.Command(lab.Build(t, "examples/tour"), "-detach", launcher)
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// workingIn returns the processes whose working directory is in a folder, which
// that of each manager and server of a tour is.
func workingIn(t *testing.T, folder string) []int {
	t.Helper()
	folder, err := filepath.EvalSymlinks(folder)
	require.NoError(t, err)
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	var pids []int
	for _, link := range links {
		// Of other users' processes, and of those that have ended, it is not told.
		if dir, err := os.Readlink(link); err == nil && strings.HasPrefix(dir, folder+"/") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// standIn makes a launcher of a shell script.
func standIn(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "detach")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	return path
}

func TestTour(t *testing.T) {
	cmd, stdout, stderr := tourOf(t, lab.Bin(t, "detach"))
	require.NoError(t, cmd.Run(), stderr)
	require.Empty(t, stderr.String())
	for _, line := range []string{
		`1\. A manager starts: PID \d+, in a session and process group of its own\.`,
		`   child +tour server +\d+  http://127\.0\.0\.1:\d+/`,
		`   server +detach --json -o server\.log -p server\.pid -- tour server  +\d+  http://127\.0\.0\.1:\d+/`,
		`   ✓  exec +executed +executed`,
		`   ✓  session +\d+ +new, not the manager's \d+`,
		`   ✓  leader +no session leader +no session leader`,
		`   ✓  terminal +none +none`,
		`   ✓  parent +\d+ +neither the manager \d+ nor the forker \d+`,
		`   ✓  alive +state [RSD] +not ended`,
		`4\. The manager and its whole process group are killed: kill -KILL -\d+`,
		`   manager +✓ runs +✗ killed`,
		`   child +✓ answers +✗ died with it`,
		`   server +✓ answers +✓ answers, still PID \d+, visit 2`,
		`   its log +✓ \d+ lines +✓ \d+ lines, still growing`,
		`   Its last words: "goodbye after visit 2"\.`,
		`All as promised\. Next: make test, or bin/detach --help`,
	} {
		require.Regexp(t, "(?m)^"+line+"$", stdout.String())
	}
	require.NotContains(t, stdout.String(), "\x1b", "colour without a terminal")
}

// A launcher that reports what detach would report, but leaves the server in
// the process group of the manager.
const pretender = `
printf '%s' "$*" | grep -q -- '-o server.log -p server.pid -- ' || exit 125
while [ "$1" != -- ]; do shift; done; shift
"$@" >>server.log 2>&1 </dev/null &
echo $! >server.pid
echo '{"pid":'$!',"checks":[{"name":"session","ok":true,"got":"4242","want":"new"}]}'
`

func TestServerThatDiesWithItsManagerFails(t *testing.T) {
	cmd, stdout, stderr := tourOf(t, standIn(t, pretender))
	requireFailure(t, cmd.Run())
	require.Contains(t, stderr.String(), "tour: the server has not outlived its manager: ")
	require.Contains(t, stdout.String(), "✓  session")
	require.NotContains(t, stdout.String(), "All as promised")
}

func TestFailures(t *testing.T) {
	for _, test := range []struct{ name, launcher, want string }{
		{
			"another process reported",
			strings.ReplaceAll(pretender, `"pid":'$!'`, `"pid":1`),
			"tour: detach says that the server is process 1, but it is ",
		}, {
			"check not passed",
			strings.ReplaceAll(pretender, `"ok":true`, `"ok":false`),
			"tour: detach has not verified what it started",
		}, {
			"nothing checked",
			strings.ReplaceAll(pretender, `"checks"`, `"promises"`),
			"tour: detach has not verified what it started",
		}, {
			"nothing started",
			`echo '{"pid":4242}'`,
			"tour: the server: detach: open ",
		}, {
			"launcher failed",
			`echo 'detach: exec x: not today' >&2; exit 126`,
			"exit status 126\ndetach: exec x: not today\n",
		}, {
			"pipe kept by the server",
			strings.ReplaceAll(pretender, ">>server.log 2>&1", ""),
			"detach has left its standard output to the server\n",
		}, {
			"launcher says nothing",
			``,
			"unexpected end of JSON input",
		}, {
			"server that does not start",
			`sh -c 'echo "no port is free" >>server.log; exec sleep 1000' >/dev/null 2>&1 & echo $! >server.pid; echo '{"pid":'$!'}'; ` +
				`while ! grep -q free server.log; do sleep 0.01; done; echo >>server.log; echo >>server.log; echo >>server.log`,
			`tour: the server: its log begins with "no port is free"`,
		}, {
			"server that ends at once",
			`sh -c 'echo >>server.log; sleep 0.1' >/dev/null 2>&1 & echo $! >server.pid; echo '{"pid":'$!'}'`,
			"tour: the server: ",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cmd, stdout, stderr := tourOf(t, standIn(t, test.launcher))
			requireFailure(t, cmd.Run())
			require.Contains(t, stderr.String(), test.want)
			require.NotContains(t, stdout.String(), "All as promised")
		})
	}
}

func TestWithoutDetach(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "detach")
	cmd, stdout, stderr := tourOf(t, missing)
	requireFailure(t, cmd.Run())
	require.Equal(t, "tour: there is no "+missing+": make builds it\n", stderr.String())
	require.Empty(t, stdout.String())
}

// The worst moment for an interruption: the server runs, but the tour does not
// know of it yet.
func TestInterruptedLeavesNothing(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			launcher := standIn(t, lab.Bin(t, "detach")+` "$@" >answer && exec sleep 1000`)
			cmd, _, stderr := tourOf(t, launcher)
			temporary := cmd.Env[len(cmd.Env)-1][len("TMPDIR="):]
			require.NoError(t, cmd.Start())
			lab.Until(t, "the server has been started", func() bool {
				answers, err := filepath.Glob(filepath.Join(temporary, "*", "answer"))
				require.NoError(t, err)
				if len(answers) == 0 {
					return false
				}
				info, err := os.Stat(answers[0])
				require.NoError(t, err)
				return info.Size() > 0
			})
			// detach has answered before it ends.
			lab.Until(t, "manager, launcher, child and server alone", func() bool { return len(workingIn(t, temporary)) == 4 })
			require.NoError(t, cmd.Process.Signal(sig))
			requireFailure(t, cmd.Wait())
			require.Contains(t, stderr.String(), "signal received")
		})
	}
}

func TestReaderThatGoesAwayLeavesNothing(t *testing.T) {
	cmd, _, stderr := tourOf(t, lab.Bin(t, "detach"))
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	cmd.Stdout = writer
	requireFailure(t, cmd.Run())
	require.NoError(t, writer.Close())
	require.Contains(t, stderr.String(), "broken pipe")
}

func TestColour(t *testing.T) {
	for _, test := range []struct {
		variable string
		want     bool
	}{{"NO_COLOR=", true}, {"NO_COLOR=1", false}} {
		t.Run(test.variable, func(t *testing.T) {
			t.Parallel()
			cmd, _, stderr := tourOf(t, lab.Bin(t, "detach"))
			cmd.Env = append(cmd.Env, test.variable)
			cmd.Stdout = nil // the terminal
			terminal, err := pty.Start(cmd)
			require.NoError(t, err)
			defer terminal.Close()
			// At the end of the last process reading fails with EIO.
			out, _ := io.ReadAll(terminal)
			require.NoError(t, cmd.Wait(), stderr)
			require.Equal(t, test.want, bytes.Contains(out, []byte("\x1b[32m✓\x1b[m answers, still PID")), "%s", out)
			require.Equal(t, test.want, bytes.Contains(out, []byte("\x1b[")), "%s", out)
		})
	}
}

func TestTableAligns(t *testing.T) {
	const want = "\n        b\n   ✓é   x\n   abc  ✗ y\n\n"
	for _, colour := range []bool{false, true} {
		t.Run(fmt.Sprint(colour), func(t *testing.T) {
			var out bytes.Buffer
			p := &page{w: &out, colour: colour}
			p.table([]string{"", "b"}, []string{"✓é", "x"}, []string{"abc", "✗ y"})
			require.NoError(t, p.err)
			plain := out.String()
			for _, code := range []string{"\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[m"} {
				require.Equal(t, colour, strings.Contains(plain, code))
				plain = strings.ReplaceAll(plain, code, "")
			}
			require.Equal(t, want, plain)
		})
	}
}

// requireFailure requires the exit status of a tour that was not as promised.
func requireFailure(t *testing.T, err error) {
	t.Helper()
	var exited *exec.ExitError
	require.ErrorAs(t, err, &exited)
	require.Equal(t, 1, exited.ExitCode())
}
