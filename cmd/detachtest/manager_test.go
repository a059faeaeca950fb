//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// A manager of the user's own, that starts the probe by its own means.
func TestManagerOfTheUser(t *testing.T) {
	lab.Program(t, "setsid")
	for name, c := range map[string]struct {
		line  string
		kills map[string]string
	}{
		"detaching": {`setsid -f "$DETACHTEST_PROBE" >/dev/null 2>&1; exec sleep 1000`, orphan},
		"naive":     {`"$DETACHTEST_PROBE" >/dev/null 2>&1 & exec sleep 1000`, without(plainChild, "sigint-group", "ctrl-c")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manager := filepath.Join(temporaryFolder(t), "manager")
			require.NoError(t, os.WriteFile(manager, []byte("#!/bin/sh\n"+c.line+"\n"), 0o700))
			_, verdicts := report(t, "--skip", hygiene, "--manager", "--", manager)
			for _, d := range deaths {
				v := verdicts[d.name]
				if d.ownOnly != "" {
					require.Equal(t, notRun, v.Outcome)
					require.NotEmpty(t, v.Why)
					continue
				}
				requireVerdict(t, d, v, c.kills[d.name])
			}
		})
	}
}

func TestManagerThatDoesNotDie(t *testing.T) {
	_, verdicts := report(t, "--only", "sigterm-group", "--timeout", "3s", "--manager", "--shell", "--",
		`trap '' TERM; "$DETACHTEST_PROBE" >/dev/null 2>&1 & exec sleep 1000`)
	v := verdicts["sigterm-group"]
	require.Equal(t, survived, v.Outcome, "%+v", v)
	require.Contains(t, v.Note, "did not end of it")
}

func TestManagerThatEndsByItself(t *testing.T) {
	_, verdicts := report(t, "--only", "sigkill,hangup", "--manager", "--shell", "--", "echo I am off; exit 3")
	for _, v := range verdicts {
		require.Equal(t, launchFailed, v.Outcome)
		require.Contains(t, v.Why, "the manager exited with status 3 before anybody harmed it: I am off")
	}
}

// Whoever requires all deaths is not content with those that cannot be staged.
func TestRequire(t *testing.T) {
	args := []string{"--only", "sigkill,full-pipe", "--manager", "--shell", "--", `setsid -f "$DETACHTEST_PROBE" >/dev/null 2>&1; exec sleep 1000`}
	lab.Program(t, "setsid")
	run := detachtest(t, args...)
	require.Zero(t, run.status, run.stdout)
	for _, flag := range []string{"-r", "--require"} {
		run := detachtest(t, append([]string{flag}, args...)...)
		require.Equal(t, 1, run.status, run.stdout)
		require.Contains(t, run.stdout, "full-pipe: not run: the pipes are the manager's own")
	}
}
