//go:build linux

package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

func TestLaunchFailures(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		why  string
	}{
		"not found":        {[]string{"--", "/nonexistent/launcher"}, "launch failed: fork/exec /nonexistent/launcher: no such file or directory"},
		"exits non-zero":   {[]string{"--shell", "--", "echo no such world >&2; exit 3"}, "launch failed: the launcher exited with status 3: no such world"},
		"killed":           {[]string{"--shell", "--", "kill -KILL $$"}, "launch failed: the launcher was killed by a signal"},
		"launches nothing": {[]string{"--timeout", "1s", "--", "true"}, "launch failed: no probe in 1s"},
		"hangs":            {[]string{"--timeout", "1s", "--shell", "--", "echo trying hard >&2; exec sleep 1000 # {}"}, "launch failed: no probe in 1s: trying hard"},
		"no such manager":  {[]string{"--manager", "--", "no-such-manager"}, `launch failed: exec: "no-such-manager": executable file not found in $PATH`},
		"stuck":            {[]string{"--timeout", "3s", "--shell", "--", stuck}, "launch failed: the probe did not beat in 3s: its output is stuck"},
		"kills its child":  {[]string{"--shell", "--", "{} >/dev/null 2>&1 & sleep 0.2; kill -KILL $!; exec sleep 1000"}, "launch failed: the probe was killed by SIGKILL before anybody harmed its manager"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, verdicts := report(t, append([]string{"--only", "sigkill,ctrl-c"}, c.args...)...)
			require.Len(t, verdicts, 2)
			require.Len(t, r.Controls, 1)
			for _, v := range append(r.Verdicts, r.Controls...) {
				require.Equal(t, launchFailed, v.Outcome, "%+v", v)
				require.Equal(t, c.why, v.Why)
			}
		})
	}
}

// A second probe, started by the same launcher, changes nothing.
func TestLaunchTwice(t *testing.T) {
	_, verdicts := report(t, "--only", "sigkill", "--shell", "--", "setsid -f {} >/dev/null 2>&1; setsid -f {} >/dev/null 2>&1")
	requireVerdict(t, sigkill, verdicts["sigkill"], "")
}

// What a launcher hands down is reported as it was before the Go runtime has
// changed it in the probe.
func TestBirth(t *testing.T) {
	lab.Program(t, "setpriv")
	_, verdicts := report(t, "--only", "sigkill,ctrl-c", "--shell", "--",
		`cd /; umask 027; ulimit -Sn 256; ulimit -c 0; echo 500 >/proc/self/oom_score_adj; export BUILD_ID=b JOB_NAME=
		trap "" TERM USR1; exec setpriv --pdeathsig USR2 env --block-signal=USR2 {} >/dev/null 2>&1 7</dev/zero`)
	for name, v := range verdicts {
		b := v.Birth
		require.NotNil(t, b)
		require.Equal(t, map[int]string{0: b.Descriptors[0], 1: "/dev/null", 2: "/dev/null", 7: "/dev/zero"}, b.Descriptors)
		require.Equal(t, "0027", b.Umask)
		require.Equal(t, "/", b.Directory)
		require.Equal(t, "256", b.OpenFiles.Soft)
		require.Equal(t, "0000000000004200", b.Ignored)
		require.Equal(t, "0000000000000800", b.Blocked)
		require.Equal(t, "256", b.Limits["Max open files"].Soft)
		require.Equal(t, limit{"0", "0"}, b.Limits["Max core file size"])
		require.Greater(t, len(b.Limits), 10)
		require.NotEmpty(t, b.Cgroups)
		require.Equal(t, 500, b.OOMScoreAdj)
		require.Equal(t, "SIGUSR2", b.ParentDeathSignal)
		require.Equal(t, "b", b.Cookies["BUILD_ID"])
		require.Contains(t, b.Cookies, "JOB_NAME")
		require.NotContains(t, b.Cookies, "PATH")
		require.NotZero(t, b.Start)
		require.Equal(t, b.Group, b.Parent, "the manager leads the group")
		require.Equal(t, name == "ctrl-c", b.OpensTerminal)
		require.Equal(t, name == "ctrl-c", b.Terminal != 0)
		if name == "ctrl-c" {
			require.NotEqual(t, b.Session, b.Parent, "a shell leads the session")
		} else {
			require.Equal(t, b.Session, b.Parent, "the manager leads the session")
		}
	}
}

// What detachtest was started with is no doing of the launcher's.
func TestBirthIsTheLaunchersDoing(t *testing.T) {
	run := runCommand(t, exec.Command("sh", "-c", `exec "$@" 9</dev/full`, "sh",
		lab.Bin(t, "detachtest"), "--format", "json", "--only", "sigkill", "--", "env"))
	require.Equal(t, 1, run.status, run.stderr)
	require.Contains(t, run.stdout, `"descriptors"`)
	require.NotContains(t, run.stdout, "/dev/full")
}

// A probe that is stopped when its manager has died lives, but is of no use.
func TestFrozen(t *testing.T) {
	_, verdicts := report(t, "--only", "sigkill", "--shell", "--", `
		manager=$PPID
		setsid sh -c '{} >/dev/null 2>&1 &
			while grep -q "^State:.[^Z]" /proc/'$manager'/status; do sleep 0.01; done
			kill -STOP $!' >/dev/null 2>&1 &`)
	v := verdicts["sigkill"]
	require.Equal(t, frozen, v.Outcome, "%+v", v)
	require.Contains(t, v.Why, "frozen")
}
