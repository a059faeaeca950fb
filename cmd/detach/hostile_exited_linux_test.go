package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// A program that has ended by the time it is looked at is no success, whatever
// its exit status was: bmc/daemonize#13. To be sure that it has, detach is
// stopped where it waits for the process between.
func TestProgramExitsAtOnce(t *testing.T) {
	for name, flags := range map[string][]string{"true": nil, "false": nil, "true with a log": {"-o", "log"}} {
		program, _, _ := strings.Cut(name, " ")
		t.Run(name, func(t *testing.T) {
			strace := lab.Program(t, "strace")
			// -D: the command is detach, not strace.
			cmd := launch(t, []string{strace, "-D", "-f", "-qq", "-o", "/dev/null", "-e", "inject=wait4:signal=SIGSTOP:when=1"},
				slices.Concat([]string{"-p", "pid"}, flags, []string{"--", program})...)
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			require.NoError(t, cmd.Start())
			detach := lab.Hold(t, cmd.Process.Pid)
			lab.Until(t, "the PID file", func() bool {
				_, err := os.Stat(filepath.Join(cmd.Dir, "pid"))
				return err == nil
			})
			daemon := pidIn(t, cmd.Dir, "pid")
			lab.Until(t, "the program to end", func() bool { return !lab.Alive(daemon) })
			lab.Until(t, "detach to go on and end", func() bool {
				_ = detach.Signal(unix.SIGCONT) // again and again: it may not have stopped yet
				return !detach.Alive()
			})
			require.Error(t, cmd.Wait())
			require.Equal(t, statusExited, cmd.ProcessState.ExitCode())
			path, err := exec.LookPath(program)
			require.NoError(t, err)
			status, hint := "0", "it ended at once; -o FILE gives it a log;"
			if program == "false" {
				status = "1"
			}
			if flags != nil {
				hint = "it ended at once: its log tells why;"
				require.NoError(t, os.Remove(filepath.Join(cmd.Dir, "log")))
			}
			require.Regexp(t, "^detach: verify "+path+": exited already(: exit status "+status+")?\n"+
				"hint: "+hint+" if it puts itself into the background, have it not do that\n$", stderr.String())
			require.Empty(t, stdout.String())
			requireNoFiles(t, cmd.Dir)
		})
	}
}

// Where PID 1 does not reap, it is told at once how the program ended, and not
// waited for that it is reaped.
func TestProgramExitsAtOnceAndIsNotReaped(t *testing.T) {
	lab.Root(t) // for the namespace
	cmd := exec.Command(lab.Program(t, "unshare"), "-f", "-p", "-m", "--mount-proc", "sh", "-c", `
mkfifo done
(for n in $(seq 1000); do # until it has ended by the time it is looked at
	"$0" --via fork -- sh -c 'exit 3' >/dev/null 2>told; [ $? = 0 ] || break
done) >done &
exec cat done`, lab.Bin(t, "detach"))
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	told, err := os.ReadFile(filepath.Join(cmd.Dir, "told"))
	require.NoError(t, err)
	require.Regexp(t, `^detach: verify \S+: exited already: exit status 3\nhint: `, string(told))
}
