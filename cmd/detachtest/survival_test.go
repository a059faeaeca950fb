//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// What a fork by detach does not survive: what finds it by its cgroup or by the
// environment that it has of the manager. Nothing survives container-stop.
var detachDiesOf = map[string]string{
	"cgroup-kill":     "SIGKILL",
	"systemd-stop":    "SIGTERM",
	"systemd-restart": "SIGTERM",
	"logout":          somehow,
	"github-actions":  "SIGKILL",
	"jenkins":         "SIGTERM",

	"jenkins-pipeline": "SIGTERM",
	"container-stop":   "SIGKILL",
}

// ciDeaths are those that --outlive-ci is for.
var ciDeaths = []string{"github-actions", "jenkins", "jenkins-pipeline"}

// What the project promises: the binary and the package survive every other
// death of the manager that is staged here.
func TestDetachSurvives(t *testing.T) {
	t.Run("binary", func(t *testing.T) {
		_, verdicts := report(t, "--skip", hygiene, "--", lab.Bin(t, "detach"), "--")
		for _, d := range deaths {
			requireVerdict(t, d, verdicts[d.name], detachDiesOf[d.name])
		}
	})
	// What the README says of CI runners.
	t.Run("without cookies", func(t *testing.T) {
		_, verdicts := report(t, "--only", strings.Join(ciDeaths, ","), "--", lab.Bin(t, "detach"), "--outlive-ci", "--")
		for _, d := range []death{githubActions, jenkins, jenkinsPipeline} {
			requireVerdict(t, d, verdicts[d.name], "")
		}
	})
	t.Run("package", func(t *testing.T) {
		// Some deaths are done to the manager's inside. The pipes that it
		// has are closed by all of its deaths.
		_, verdicts := report(t, "--skip", hygiene, "--manager", "--", lab.Build(t, "detach/lab/manager"))
		for _, d := range deaths {
			if d.ownOnly != "" {
				require.Equal(t, notRun, verdicts[d.name].Outcome)
				continue
			}
			requireVerdict(t, d, verdicts[d.name], detachDiesOf[d.name])
		}
	})
}
