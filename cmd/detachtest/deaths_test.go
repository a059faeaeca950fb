//go:build linux

package main

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// somehow stands for a signal that is not certain: two reach the probe at
// about the same time, or its parent alone knows.
const somehow = "somehow"

// A column is a launcher and what is known of it.
type column struct {
	name  string
	args  []string          // of detachtest
	needs string            // a program
	kills map[string]string // the deaths not survived, and by which signal
}

// stuckForever stands for the fate of a probe that is not killed by a signal,
// but does not get a line written any more.
const stuckForever = "frozen"

var columns = []column{
	{name: "plain child", args: []string{"--", "env"}, kills: with(everything(somehow), map[string]string{
		"sigkill": "SIGPIPE", "closed-pipes": "SIGPIPE", "subreaper-exit": "SIGPIPE",
		"full-pipe": stuckForever, "pdeathsig": "SIGKILL",
	})},
	{name: "plain child without pipes", args: []string{"--shell", "--", "exec {} >/dev/null 2>&1"}, kills: plainChild},
	{name: "child of a shell", args: []string{"--shell", "--", "{} >/dev/null 2>&1; true"}, kills: everything(somehow,
		"sigkill", "closed-pipes", "full-pipe", "pdeathsig", "subreaper-exit")},
	{name: "nohup", args: []string{"--", "nohup"}, needs: "nohup", kills: with(everything(somehow), map[string]string{
		"sigkill": "SIGPIPE", "hangup": "SIGPIPE", "closed-pipes": "SIGPIPE", "subreaper-exit": "SIGPIPE",
		"full-pipe": stuckForever,
	})},
	{name: "nohup in the background", args: []string{"--shell", "--", "nohup {} >/dev/null 2>&1 &"}, needs: "nohup", kills: with(orphan, map[string]string{
		// sh has what it puts into the background ignore SIGINT.
		"sigterm-group": "SIGTERM", "sigkill-group": "SIGKILL", "kill-session": "SIGKILL", "gitlab": "SIGTERM",
		"logout": "SIGTERM",
	})},
	{name: "setsid without pipes", args: []string{"--shell", "--", "exec setsid {} >/dev/null 2>&1"}, needs: "setsid", kills: with(orphan, map[string]string{
		"kill-tree": "SIGKILL", "pdeathsig": "SIGKILL",
	})},
	{name: "setsid -f", args: []string{"--", "setsid", "-f"}, needs: "setsid", kills: with(everything("SIGPIPE", "pdeathsig"), map[string]string{
		"full-pipe": stuckForever, "container-stop": "SIGKILL",
		// Two are after it: the death, and its pipes when that has met the manager.
		"fd-holders": somehow, "cgroup-kill": somehow, "systemd-stop": somehow, "systemd-restart": somehow,
		"logout": somehow, "github-actions": somehow, "jenkins": somehow, "jenkins-pipeline": somehow,
	})},
	{name: "setsid -f without pipes", args: []string{"--shell", "--", "setsid -f {} >/dev/null 2>&1"}, needs: "setsid", kills: orphan},
	{name: "double fork by sh", args: []string{"--shell", "--", "(setsid {} >/dev/null 2>&1 &)"}, needs: "setsid", kills: orphan},
	{name: "SIGTERM ignored", args: []string{"--shell", "--", "trap '' TERM; exec {} >/dev/null 2>&1"}, kills: with(without(plainChild, "sigterm-group", "gitlab"), map[string]string{
		"jenkins": "SIGKILL", "jenkins-pipeline": "SIGKILL", "systemd-stop": "SIGKILL", "systemd-restart": "SIGKILL", "logout": "SIGHUP",
	})},
	{name: "SIGINT blocked", args: []string{"--shell", "--", "exec env --block-signal=INT {} >/dev/null 2>&1"}, needs: "env", kills: without(plainChild, "sigint-group", "ctrl-c")},
	{name: "SIGPIPE ignored", args: []string{"--shell", "--", "trap '' PIPE; exec {}"}, kills: with(everything(somehow, "sigkill", "closed-pipes", "subreaper-exit"), map[string]string{
		"full-pipe": stuckForever, "pdeathsig": "SIGKILL",
	})},
	{name: "without cookies", args: []string{"--shell", "--", "exec env -u BUILD_ID -u RUNNER_TRACKING_ID setsid -f {} >/dev/null 2>&1"}, needs: "setsid", kills: without(orphan, "jenkins", "github-actions")},
	// What the Jenkins handbook says to do in a Pipeline.
	{name: "another node cookie", args: []string{"--shell", "--", "JENKINS_NODE_COOKIE=dontKillMe exec setsid -f {} >/dev/null 2>&1"}, needs: "setsid", kills: without(orphan, "jenkins-pipeline")},
	{name: "without the lock", args: []string{"--shell", "--", "exec setsid -f {} >/dev/null 2>&1" + closeAll}, needs: "setsid", kills: without(orphan, "fd-holders")},
	{name: "another cgroup", args: []string{"--shell", "--", leaveCgroup + "exec setsid -f {} >/dev/null 2>&1"}, needs: "setsid", kills: without(orphan, "cgroup-kill")},
	// An orphan that wants to die with its parent gets a new one.
	{name: "parent-death signal of an orphan", args: []string{"--shell", "--",
		"(setsid sh -c 'while kill -0 '$$'; do sleep 0.01; done; exec setpriv --pdeathsig KILL {}' >/dev/null 2>&1 &)"}, needs: "setpriv", kills: with(orphan, map[string]string{
		"subreaper-exit": "SIGKILL",
	})},
}

// closeAll is a redirection that closes all a launcher may have inherited.
const closeAll = " 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-"

// leaveCgroup has a shell go where detachtest itself is, if it is in a cgroup
// that detachtest has made.
const leaveCgroup = `d=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/self/mounts)$(sed -n s/^0:://p /proc/self/cgroup)
	case $d in */detachtest-*) echo $$ >"${d%/*}/cgroup.procs" ;; esac; `

// orphan is what kills a program in a session of its own whose parent is not
// the manager, by what it still has of it: its cgroup, its environment, its
// open files.
var orphan = map[string]string{
	"fd-holders":      "SIGKILL",
	"cgroup-kill":     "SIGKILL",
	"systemd-stop":    "SIGTERM",
	"systemd-restart": "SIGTERM",
	"logout":          somehow, // SIGTERM and SIGHUP
	"github-actions":  "SIGKILL",
	"jenkins":         "SIGTERM",
	"container-stop":  "SIGKILL",

	"jenkins-pipeline": "SIGTERM",
}

// plainChild is what kills a child of the manager's that only keeps clear of
// its pipes, and each time in the way that the death is named for.
var plainChild = with(orphan, map[string]string{
	"sigterm-group": "SIGTERM",
	"sigint-group":  "SIGINT",
	"sigkill-group": "SIGKILL",
	"ctrl-c":        "SIGINT",
	"hangup":        "SIGHUP",
	"kill-session":  "SIGKILL",
	"kill-tree":     "SIGKILL",
	"gitlab":        "SIGTERM",
	"pdeathsig":     "SIGKILL",
})

// everything is all deaths but some, each by the same signal.
func everything(signal string, but ...string) map[string]string {
	kills := map[string]string{}
	for _, d := range deaths {
		kills[d.name] = signal
	}
	return without(kills, but...)
}

func without(kills map[string]string, names ...string) map[string]string {
	rest := maps.Clone(kills)
	for _, name := range names {
		delete(rest, name)
	}
	return rest
}

func with(kills, more map[string]string) map[string]string {
	all := maps.Clone(kills)
	maps.Copy(all, more)
	return all
}

func TestDeaths(t *testing.T) {
	for _, c := range columns {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.needs != "" {
				lab.Program(t, c.needs)
			}
			_, verdicts := report(t, append([]string{"--skip", hygiene}, c.args...)...)
			require.Len(t, verdicts, len(deaths))
			for _, d := range deaths {
				requireVerdict(t, d, verdicts[d.name], c.kills[d.name])
			}
		})
	}
}

// elsewhere are the deaths that only a machine with systemd as PID 1 can stage.
// TestDeathsUnderSystemd shows them.
var elsewhere = []string{"systemd-stop", "systemd-restart", "logout"}

// requireVerdict shows that the probe was killed by a signal, or was not.
func requireVerdict(t *testing.T, d death, v verdict, signal string) {
	t.Helper()
	if v.Outcome == notRun && d.lacks != nil {
		require.NotEmpty(t, v.Why)
		if !slices.Contains(elsewhere, d.name) {
			lab.Skip(t, d.name+": "+v.Why)
		}
		return
	}
	switch {
	case signal == "":
		require.Equal(t, survived, v.Outcome, "%+v", v)
		require.Empty(t, v.Why)
		return
	case signal == stuckForever:
		require.Equal(t, frozen, v.Outcome, "%+v", v)
	case d.certain:
		require.Equal(t, doomed, v.Outcome, "%+v", v)
	default:
		require.Equal(t, died, v.Outcome, "%+v", v)
	}
	require.NotEmpty(t, v.Why)
	if signal != somehow && signal != stuckForever && (v.Signal != "" || tellsStrangers()) {
		require.Equal(t, signal, v.Signal, "%+v", v)
	}
	require.Empty(t, v.Note)
}

// tellsStrangers tells whether the kernel says of what a process has died to
// others than its parent.
var tellsStrangers = sync.OnceValue(func() bool {
	pidfd := -1
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &pidfd}
	if cmd.Run() != nil {
		return false
	}
	p := process{pidfd: pidfd}
	defer func() { _ = unix.Close(pidfd) }()
	_, known := p.posthumous()
	return known
})

// No death may be one that everything survives, or nothing does, and none may
// be red only because of something else than itself.
func TestDeathsAreShownRedAndGreen(t *testing.T) {
	for _, d := range deaths {
		require.NotEmpty(t, d.who)
		shown := columns
		if slices.Contains(elsewhere, d.name) {
			shown = systemdColumns
		}
		require.Equal(t, !d.certain, slices.ContainsFunc(shown, func(c column) bool { return c.kills[d.name] == "" }), "%s is never green", d.name)
		require.True(t, slices.ContainsFunc(shown, func(c column) bool {
			return c.kills[d.name] != "" && c.kills[d.name] != somehow
		}), "%s is never red for a certain reason", d.name)
	}
}

// A tester that does not see a death must say so, and not a word more.
func TestBlindTesterIsNotBelieved(t *testing.T) {
	cmd := exec.Command(os.Args[0], "--", "env")
	cmd.Env = append(cmd.Environ(), blindVariable+"=1")
	run := runCommand(t, cmd)
	require.Equal(t, 125, run.status)
	require.Empty(t, run.stdout)
	require.Contains(t, run.stderr, errBlind.Error())
}

// The report says what a probe died of, by what it was found, and where it was
// when it met a pipe.
func TestReasons(t *testing.T) {
	lab.Program(t, "setsid")
	for _, c := range []struct{ death, launcher, why string }{
		{"sigkill", "exec {} 2>/dev/null", `^died of SIGPIPE on stdout \d+ms after the manager: it wrote to a pipe that nobody reads any more$`},
		{"sigkill", "exec {} >/dev/null", `^died of SIGPIPE on stderr \d+ms after the manager: `},
		{"full-pipe", "exec {} >/dev/null", `^frozen: it lives, but has not got a line written to stderr for 5s$`},
		{"github-actions", "exec setsid -f {} >/dev/null 2>&1", `^died of SIGKILL by cookie, `},
		{"cgroup-kill", "exec setsid -f {} >/dev/null 2>&1", `^died of SIGKILL by cgroup, `},
		{"fd-holders", "exec setsid -f {} >/dev/null 2>&1", `^died of SIGKILL by open file, `},
	} {
		t.Run(c.death+", "+c.launcher, func(t *testing.T) {
			t.Parallel()
			_, verdicts := report(t, "--only", c.death, "--shell", "--", c.launcher)
			v := verdicts[c.death]
			if v.Outcome == notRun {
				lab.Skip(t, v.Why)
			}
			if v.Outcome == died && v.Signal == "" && !tellsStrangers() {
				return // an older kernel
			}
			require.Regexp(t, c.why, v.Why)
		})
	}
}
