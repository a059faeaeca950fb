//go:build linux

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// A hygieneColumn is a launcher and what is known of its hygiene.
type hygieneColumn struct {
	name    string
	args    []string // of detachtest
	needs   string   // a program
	bad     map[string]string
	notRun  []string
	ownBin  string // a command of this module that is the launcher, before args
	manager string // a program of this module that is the manager
}

// passesAllOn is what everything passes on that does nothing about it.
var passesAllOn = map[string]string{
	"descriptors": "3 is /dev/zero, 10 is /dev/zero, 200 is /dev/zero",
	"port":        "it holds the manager's listening socket",
	"signals":     "born with all signals ignored",
}

// hiddenInManagers are the checks of which nothing is seen in a manager of the
// user's own.
var hiddenInManagers = []string{"pipes", "pid", "exec-failure"}

func also(bad map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for name, why := range bad {
		all[name] = why
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

var hygieneColumns = []hygieneColumn{
	{name: "detach", ownBin: "detach", args: []string{"--"}},
	{name: "detach with a log and a PID file", ownBin: "detach", args: []string{"-o", "{log}", "-p", "{pidfile}", "--"}},
	{name: "package detach", manager: "detach/lab/manager", notRun: hiddenInManagers},
	{name: "plain child", args: []string{"--", "env"}, bad: also(passesAllOn,
		"pipes", "it holds the pipe that the launcher was given", "terminal", "still has the manager's terminal",
		"zombies", "it is a zombie of the manager")},
	{name: "nohup", needs: "nohup", args: []string{"--", "nohup"}, bad: also(passesAllOn,
		"pipes", "it holds the pipe that the launcher was given", "terminal", "still has the manager's terminal",
		"zombies", "it is a zombie of the manager")},
	{name: "setsid -f", needs: "setsid", args: []string{"--", "setsid", "-f"}, bad: also(passesAllOn,
		"pipes", "it holds the pipe that the launcher was given", "terminal", "it leads its session",
		"pid", "the launcher does not say it", "exec-failure", "a file that does not exist, the launcher exited with status 0")},
	{name: "a launcher that stays", args: []string{"--shell", "--", "{} >/dev/null 2>&1; true"}, bad: also(passesAllOn,
		"terminal", "still has the manager's terminal", "helpers", "left besides the program: sh (PID ",
		"pipes", "the launcher's output does not end: sh (PID ",
		"pid", "the launcher does not say it", "exec-failure", "exited with status 0"), notRun: []string{"append"}},
	{name: "a helper in a session of its own", needs: "setsid", args: []string{"--shell", "--", "setsid -f sleep 1000 >/dev/null 2>&1; exec setsid -f {} >/dev/null 2>&1"}, bad: also(passesAllOn,
		"terminal", "it leads its session", "helpers", "left besides the program: sleep (PID ",
		"pid", "the launcher does not say it", "exec-failure", "exited with status 0"), notRun: []string{"append"}},
	{name: "a helper that holds pipe and port", needs: "setsid", args: []string{"--shell", "--", "setsid -f sleep 1000; exec setsid -f {} >/dev/null 2>&1 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-"}, bad: also(passesAllOn,
		"descriptors", "10 is /dev/zero, 200 is /dev/zero", "port", "listen on the manager's port", "pipes", "the launcher's output does not end: sleep (PID ",
		"terminal", "it leads its session", "helpers", "left besides the program: sleep (PID ",
		"pid", "the launcher does not say it", "exec-failure", "exited with status 0"), notRun: []string{"append"}},
	{name: "fewer open files", args: []string{"--shell", "--", "ulimit -Sn 100; exec {}"}, bad: also(passesAllOn,
		"pipes", "it holds the pipe that the launcher was given", "terminal", "still has the manager's terminal",
		"zombies", "it is a zombie of the manager", "open-files", "born with a limit of 100, at most ")},
	{name: "a log that is written over", needs: "setsid", args: []string{"--shell", "--", "setsid -f {} >{log} 2>&1; sleep 0; echo 1 >{pidfile}"}, bad: also(passesAllOn,
		"append", "not opened for appending: ", "pid", `the PID file has "1\n"`,
		"terminal", "it leads its session", "exec-failure", "exited with status 0")},
	{name: "a closed output", args: []string{"--shell", "--", "exec {} 2>/dev/null >&-"}, bad: also(passesAllOn,
		"descriptors", "1 is closed: ", "terminal", "still has the manager's terminal",
		"zombies", "it is a zombie of the manager"), notRun: []string{"append"}},
	{name: "not executable is no matter", args: []string{"--shell", "--", "[ -e {} ] || exit 1; [ -x {} ] || exit 0; exec {} >/dev/null 2>&1"}, bad: also(passesAllOn,
		"exec-failure", "a file that is not executable, the launcher exited with status 0", "terminal", "still has the manager's terminal",
		"zombies", "it is a zombie of the manager"), notRun: []string{"append"}},
	{name: "manager that does not wait", needs: "setsid", args: []string{"--manager", "--shell", "--",
		`setsid -f "$DETACHTEST_PROBE" >/dev/null 2>&1 & exec sleep 1000`}, bad: also(passesAllOn,
		"zombies", "the launcher leaves the manager zombies to wait for: setsid (PID ", "terminal", "it leads its session"),
		notRun: append([]string{"append"}, hiddenInManagers...)},
	{name: "manager that keeps a helper", args: []string{"--manager", "--shell", "--",
		`sleep 1000 & sh -c '"$DETACHTEST_PROBE" >/dev/null 2>&1; true' & while :; do sleep 1; done`}, bad: also(passesAllOn,
		"helpers", "left besides the program: sh (PID ", "terminal", "still has the manager's terminal", "signals", "born with "),
		notRun: append([]string{"append"}, hiddenInManagers...)},
}

func TestHygiene(t *testing.T) {
	for _, c := range hygieneColumns {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			switch {
			case c.needs != "":
				lab.Program(t, c.needs)
			case c.ownBin != "":
				args = append([]string{"--", lab.Bin(t, c.ownBin)}, args...)
			case c.manager != "":
				args = []string{"--manager", "--", lab.Build(t, c.manager)}
			}
			r, _ := report(t, append([]string{"--only", hygiene}, args...)...)
			require.Len(t, r.Findings, len(checks))
			for i, v := range r.Findings {
				require.Equal(t, checks[i].name, v.Check)
				switch {
				case c.bad[v.Check] != "":
					require.Equal(t, bad, v.Outcome, "%+v", v)
					require.Contains(t, v.Why, c.bad[v.Check])
				case slices.Contains(c.notRun, v.Check):
					require.Equal(t, notRun, v.Outcome, "%+v", v)
					require.NotEmpty(t, v.Why)
				default:
					require.Equal(t, good, v.Outcome, "%+v", v)
					require.NotEmpty(t, v.Found)
					require.Empty(t, v.Why)
				}
			}
			require.Equal(t, len(c.bad) == 0, r.Clean)
			require.True(t, r.Survived, "hygiene is no matter of life and death")
		})
	}
}

// No check may be one that everything passes, or nothing does.
func TestChecksAreShownRedAndGreen(t *testing.T) {
	for _, check := range checks {
		require.NotEmpty(t, check.who)
		require.True(t, slices.ContainsFunc(hygieneColumns, func(c hygieneColumn) bool { return c.bad[check.name] != "" }), "%s is never red", check.name)
		require.True(t, slices.ContainsFunc(hygieneColumns, func(c hygieneColumn) bool {
			return c.bad[check.name] == "" && !slices.Contains(c.notRun, check.name)
		}), "%s is never green", check.name)
	}
	for _, c := range hygieneColumns {
		for name := range c.bad {
			require.True(t, slices.ContainsFunc(checks, func(c check) bool { return c.name == name }), name)
		}
	}
}

// A launch that fails only under what a check brings upon it is told as such.
func TestLaunchFailsUnderACheck(t *testing.T) {
	r, _ := report(t, "--only", "signals,pipes", "--shell", "--",
		`grep -q '^SigIgn:.*fff' /proc/self/status && { echo dear me >&2; exit 3; }; exec {} >/dev/null 2>&1`)
	require.Equal(t, good, r.Findings[0].Outcome, "%+v", r.Findings[0])
	require.Equal(t, launchFailed, r.Findings[1].Outcome)
	require.Equal(t, "launch failed: the launcher exited with status 3: dear me", r.Findings[1].Why)
	require.False(t, r.Clean)
}

// Bad hygiene is reported, and fails only who asks for that.
func TestStrict(t *testing.T) {
	args := []string{"--only", "sigkill,terminal", "--shell", "--", "exec {} >/dev/null 2>&1"}
	lax := detachtest(t, args...)
	require.Equal(t, 0, lax.status, lax.stderr)
	strict := detachtest(t, append([]string{"--strict"}, args...)...)
	require.Equal(t, 1, strict.status, strict.stderr)
	for _, run := range []testRun{lax, strict} {
		require.Regexp(t, `\nsigkill   ✓\n\nterminal  ✗\n\n.*, terminal: it still has the manager's terminal as its own\n$`, run.stdout)
	}
	require.Equal(t, 0, detachtest(t, "--strict", "--only", "descriptors", "--", lab.Bin(t, "detach"), "--").status)
}

// It judges package detach, so it may share nothing with it.
func TestIndependent(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	paths := strings.Fields(string(out))
	require.Contains(t, paths, "github.com/detachkit/detach/cmd/detachtest")
	for _, path := range paths {
		if strings.HasPrefix(path, "github.com/detachkit/detach/") {
			require.Equal(t, "github.com/detachkit/detach/cmd/detachtest", path)
		}
	}
}
