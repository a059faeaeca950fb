//go:build linux

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// What the project promises: the binary and the package survive every death of
// the manager that is staged here.
func TestDetachSurvives(t *testing.T) {
	t.Run("binary", func(t *testing.T) {
		_, verdicts := report(t, "--skip", hygiene, "--", lab.Bin(t, "detach"), "--")
		for _, d := range deaths {
			requireVerdict(t, verdicts[d.name], "")
		}
	})
	t.Run("package", func(t *testing.T) {
		// The manager's pipes are its own: nobody can close them while it
		// lives, and all of its deaths close them.
		_, verdicts := report(t, "--skip", "closed-pipes,hygiene", "--manager", "--", lab.Build(t, "detach/lab/manager"))
		for name, v := range verdicts {
			requireVerdict(t, v, "")
			require.NotEqual(t, "closed-pipes", name)
		}
		require.Len(t, verdicts, len(deaths)-1)
	})
}
