package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// A manager whose directory was removed can start daemons all the same.
func TestRemovedDirectory(t *testing.T) {
	dir := t.TempDir()
	pidFile, log := filepath.Join(dir, "pid"), filepath.Join(dir, "log")
	for _, c := range []struct {
		args []string
		cwd  string // it ends so
	}{
		{nil, " (deleted)"},
		{[]string{"-p", pidFile, "-o", log}, " (deleted)"},
		{[]string{"-C", dir, "-o", "log"}, dir},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			daemon, stderr := started(t, launch(t, hostile(t, "-removed-dir"), append(c.args, "--", "sleep", "1000")...))
			require.Empty(t, stderr)
			cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", daemon.PID))
			require.NoError(t, err)
			require.True(t, strings.HasSuffix(cwd, c.cwd), cwd)
		})
	}
	cmd := launch(t, hostile(t, "-removed-dir"), "-p", "pid", "--", "sleep", "1000")
	require.Contains(t, failed(t, cmd, statusFailed), "detach: create .pid.detach-new: no such file or directory\n")
}

// env -i: there is not even a PATH.
func TestEmptyEnvironment(t *testing.T) {
	cmd := launch(t, nil, "--", "sleep", "1000")
	cmd.Env = []string{}
	daemon, stderr := started(t, cmd)
	require.Empty(t, stderr)
	require.Empty(t, readProc(t, daemon, "environ"))
}

// What a service manager says to its service is false of the daemons of that
// service: leptonai/gpud#1232, flightctl#626, systemd/systemd#27297.
func TestVariablesOfTheManager(t *testing.T) {
	var managers []string
	for _, name := range []string{
		"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
		"MAINPID", "MANAGERPID", "SYSTEMD_EXEC_PID", "INVOCATION_ID", "JOURNAL_STREAM",
	} {
		managers = append(managers, name+"=theirs")
	}
	others := []string{"PATH=/usr/bin:/bin", "NOTIFY_SOCKETS=kept", "LISTEN_=kept", "EMPTY=", "X=a=b"}

	for name, c := range map[string]struct{ args, want []string }{
		"by default":      {nil, others},
		"given by -E":     {[]string{"-E", "NOTIFY_SOCKET=own", "-E", "MAINPID="}, append(others, "NOTIFY_SOCKET=own", "MAINPID=")},
		"of a clean one":  {[]string{"--clean-env"}, nil},
		"with one unset":  {[]string{"--unset", "EMPTY", "--unset", "NOTIFY_SOCKET"}, append(others[:3:3], "X=a=b")},
		"clean with one":  {[]string{"--clean-env", "-E", "LISTEN_FDS=2"}, []string{"LISTEN_FDS=2"}},
		"replaced by one": {[]string{"-E", "X=1", "-E", "X=2"}, append(others[:4:4], "X=2")},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := launch(t, nil, append(c.args, "--", "sleep", "1000")...)
			cmd.Env = append(others[:len(others):len(others)], managers...)
			daemon, _ := started(t, cmd)
			var want string
			for _, entry := range c.want {
				want += entry + "\x00"
			}
			require.Equal(t, want, readProc(t, daemon, "environ"))
		})
	}
}

// Arguments and variables of a megabyte each arrive as they are, and so does
// whatever is in them.
func TestMegabyteOfArguments(t *testing.T) {
	command := []string{"sh", "-c", "read line", "", "two words", "new\nline", "\xff\xfe", "--", "-o", "$HOME"}
	env := []string{"PATH=" + os.Getenv("PATH"), "NOT_UTF8=\xff", "LINES=a\nb"}
	for i := range 10 {
		command = append(command, strings.Repeat(string(rune('a'+i)), 100_000))
		env = append(env, fmt.Sprintf("BIG_%d=%s", i, strings.Repeat("x", 100_000)))
	}
	cmd := launch(t, nil, append([]string{"--console", "fifo", "--"}, command...)...)
	cmd.Env = env
	daemon, _ := started(t, cmd)
	require.True(t, strings.Join(command, "\x00")+"\x00" == readProc(t, daemon, "cmdline"))
	require.True(t, strings.Join(env, "\x00")+"\x00" == readProc(t, daemon, "environ"))
}

// The kernel counts the path of a program too. So there is a command line with
// which detach itself can just be executed and the program, which has a longer
// path, cannot.
func TestTooManyArguments(t *testing.T) {
	dir := t.TempDir()
	sleep := lab.Program(t, "sleep")
	long := dir + strings.Repeat("/.", 1500)
	require.NoError(t, os.Symlink(sleep, filepath.Join(dir, "nap")))
	var stack unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_STACK, &stack))
	// As execve(2) says: a quarter of the stack, up to 6 MiB.
	for size := int(min(stack.Cur/4, 6<<20)); ; size -= 1000 {
		args := []string{"-p", "pid", "--", "nap", "1000"}
		for left := size; left > 0; left -= 100_000 {
			args = append(args, strings.Repeat("x", min(left, 100_000)))
		}
		cmd := launch(t, nil, args...)
		cmd.Env = []string{"PATH=" + long}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		err := cmd.Run()
		if cmd.ProcessState == nil {
			require.ErrorIs(t, err, unix.E2BIG)
			continue
		}
		require.Equal(t, statusCannotRun, cmd.ProcessState.ExitCode(), stderr.String())
		require.Equal(t, "detach: exec "+long+"/nap: argument list too long\n"+
			"hint: the arguments and the environment are too long together; pass them in a file\n", stderr.String())
		requireNoFiles(t, cmd.Dir)
		return
	}
}

func readProc(t *testing.T, daemon *lab.Held, name string) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", daemon.PID, name))
	require.NoError(t, err)
	return string(data)
}
