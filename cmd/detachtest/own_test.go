//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// Somebody has the very cookies and the very lock file by which a death finds
// its victims, but was not started by detachtest.
func TestBystanderIsSpared(t *testing.T) {
	for _, d := range []death{jenkins, jenkinsPipeline, githubActions, fdHolders} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			folder := temporaryFolder(t)
			// The control has neither cookies nor a lock.
			launcher := filepath.Join(folder, "launcher")
			require.NoError(t, os.WriteFile(launcher, []byte(`#!/bin/sh
lock=${1%/*}/`+lockFile+`
if [ -n "$BUILD_TAG$RUNNER_TRACKING_ID" ] || [ -e "$lock" ]; then
	echo "$lock" >"$0.lock"
	env >"$0.env.new" && mv "$0.env.new" "$0.env"
	while [ ! -e "$0.go" ]; do sleep 0.01; done
fi
exec "$1" >/dev/null 2>&1
`), 0o700))
			bystander := make(chan *exec.Cmd, 1)
			go func() {
				defer close(bystander)
				var variables []byte
				lab.Until(t, "the launcher has told its environment", func() (told bool) {
					var err error
					variables, err = os.ReadFile(launcher + ".env")
					return err == nil
				})
				path, _ := os.ReadFile(launcher + ".lock")
				cmd := exec.Command("sleep", "1000")
				cmd.Env = strings.Split(string(variables), "\n")
				if lock, err := os.Open(strings.TrimSpace(string(path))); err == nil {
					defer func() { _ = lock.Close() }()
					cmd.ExtraFiles = []*os.File{lock}
				}
				if cmd.Start() == nil {
					bystander <- cmd
				}
				_ = os.WriteFile(launcher+".go", nil, 0o600)
			}()
			_, verdicts := report(t, "--only", d.name, "--", launcher)
			require.Equal(t, died, verdicts[d.name].Outcome, "%+v", verdicts[d.name])

			cmd := <-bystander
			require.NotNil(t, cmd)
			var status unix.WaitStatus
			pid, err := unix.Wait4(cmd.Process.Pid, &status, unix.WNOHANG, nil)
			require.NoError(t, err)
			require.Zero(t, pid, "the bystander was killed: %v", status)
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait() // killed
		})
	}
}

// Jenkins wants all of its variables with the build's own values, Actions does
// not mind the case.
func TestCookiesAreComparedAsRunnersDo(t *testing.T) {
	lab.Program(t, "setsid")
	for name, c := range map[string]struct {
		line   string
		death  death
		signal string
	}{
		"all but the value of one":  {"BUILD_ID=dontKillMe exec setsid -f {}", jenkins, ""},
		"all but one":               {"unset JOB_BASE_NAME; exec setsid -f {}", jenkins, ""},
		"all and more":              {"MORE=1 exec setsid -f {}", jenkins, "SIGTERM"},
		"below one that has them":   {"exec setsid -f sh -c 'env -i {} & wait'", jenkins, "SIGTERM"},
		"empty":                     {"RUNNER_TRACKING_ID= exec setsid -f {}", githubActions, ""},
		"upper case":                {`RUNNER_TRACKING_ID=$(echo "$RUNNER_TRACKING_ID" | tr a-z A-Z) exec setsid -f {}`, githubActions, "SIGKILL"},
		"below, without":            {"exec setsid -f sh -c 'env -i {} & wait'", githubActions, ""},
		"longer":                    {"RUNNER_TRACKING_ID=${RUNNER_TRACKING_ID}0 exec setsid -f {}", githubActions, ""},
		"taken out of its own late": {"exec setsid -f sh -c 'unset RUNNER_TRACKING_ID; {} & wait'", githubActions, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, verdicts := report(t, "--only", c.death.name, "--shell", "--", strings.Replace(c.line, "exec setsid", "exec >/dev/null 2>&1 setsid", 1))
			requireVerdict(t, c.death, verdicts[c.death.name], c.signal)
		})
	}
}

// What a process has of its own is that which it was executed with.
func TestEnviron(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	cmd.Env = []string{"A=1", "B=", "C=x=y"}
	require.NoError(t, cmd.Start())
	// An exec closes descriptors, which is what Start waits for, a moment before
	// the new environment is to be seen.
	lab.Until(t, "it has its environment", func() bool { return len(environ(cmd.Process.Pid)) > 0 })
	require.Equal(t, map[string]string{"A": "1", "B": "", "C": "x=y"}, environ(cmd.Process.Pid))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	require.Empty(t, environ(cmd.Process.Pid))
}
