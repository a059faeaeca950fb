//go:build linux

package main

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

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

var columns = []column{
	{name: "plain child", args: []string{"--", "env"}, kills: killedBy(everything(somehow), "SIGPIPE", "sigkill", "closed-pipes")},
	{name: "plain child without pipes", args: []string{"--shell", "--", "exec {} >/dev/null 2>&1"}, kills: plainChild},
	{name: "child of a shell", args: []string{"--shell", "--", "{} >/dev/null 2>&1; true"}, kills: everything(somehow, "sigkill", "closed-pipes")},
	{name: "nohup", args: []string{"--", "nohup"}, needs: "nohup", kills: killedBy(everything(somehow), "SIGPIPE", "sigkill", "hangup", "closed-pipes")},
	{name: "nohup in the background", args: []string{"--shell", "--", "nohup {} >/dev/null 2>&1 &"}, needs: "nohup", kills: map[string]string{
		// sh has what it puts into the background ignore SIGINT.
		"sigterm-group": "SIGTERM", "sigkill-group": "SIGKILL", "kill-session": "SIGKILL",
	}},
	{name: "setsid without pipes", args: []string{"--shell", "--", "exec setsid {} >/dev/null 2>&1"}, needs: "setsid", kills: map[string]string{
		"kill-tree": "SIGKILL",
	}},
	{name: "setsid -f", args: []string{"--", "setsid", "-f"}, needs: "setsid", kills: everything("SIGPIPE")},
	{name: "setsid -f without pipes", args: []string{"--shell", "--", "setsid -f {} >/dev/null 2>&1"}, needs: "setsid"},
	{name: "double fork by sh", args: []string{"--shell", "--", "(setsid {} >/dev/null 2>&1 &)"}, needs: "setsid"},
	{name: "SIGTERM ignored", args: []string{"--shell", "--", "trap '' TERM; exec {} >/dev/null 2>&1"}, kills: without(plainChild, "sigterm-group")},
	{name: "SIGINT blocked", args: []string{"--shell", "--", "exec env --block-signal=INT {} >/dev/null 2>&1"}, needs: "env", kills: without(plainChild, "sigint-group", "ctrl-c")},
	{name: "SIGPIPE ignored", args: []string{"--shell", "--", "trap '' PIPE; exec {}"}, kills: without(everything(somehow), "sigkill", "closed-pipes")},
}

// plainChild is what kills a child of the manager's that only keeps clear of
// its pipes, and each time in the way that the death is named for.
var plainChild = map[string]string{
	"sigterm-group": "SIGTERM",
	"sigint-group":  "SIGINT",
	"sigkill-group": "SIGKILL",
	"ctrl-c":        "SIGINT",
	"hangup":        "SIGHUP",
	"kill-session":  "SIGKILL",
	"kill-tree":     "SIGKILL",
}

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

func killedBy(kills map[string]string, signal string, names ...string) map[string]string {
	kills = maps.Clone(kills)
	for _, name := range names {
		kills[name] = signal
	}
	return kills
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
				requireVerdict(t, verdicts[d.name], c.kills[d.name])
			}
		})
	}
}

// requireVerdict shows that the probe was killed by a signal, or was not.
func requireVerdict(t *testing.T, v verdict, signal string) {
	t.Helper()
	if signal == "" {
		require.Equal(t, survived, v.Outcome, "%+v", v)
		require.Empty(t, v.Why)
		return
	}
	require.Equal(t, died, v.Outcome, "%+v", v)
	require.NotEmpty(t, v.Why)
	if signal != somehow {
		require.Equal(t, signal, v.Signal, "%+v", v)
	}
	require.Empty(t, v.Note)
}

// No death may be one that everything survives, or nothing does, and none may
// be red only because of something else than itself.
func TestDeathsAreShownRedAndGreen(t *testing.T) {
	for _, d := range deaths {
		require.NotEmpty(t, d.who)
		require.True(t, slices.ContainsFunc(columns, func(c column) bool { return c.kills[d.name] == "" }), "%s is never green", d.name)
		require.True(t, slices.ContainsFunc(columns, func(c column) bool {
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
