package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The systemd of a test must never be given the folders of the machine: it
// would empty /tmp. The script says no before it does anything; should it not,
// unshare(1) is not to be found and it fails all the same.
func TestSystemdLabRefusesTheMachine(t *testing.T) {
	bash := Program(t, "bash")
	bin := t.TempDir()
	for _, name := range []string{"readlink", "grep"} {
		require.NoError(t, os.Symlink(Program(t, name), filepath.Join(bin, name)))
	}
	script := filepath.Join(bin, "systemd-lab")
	require.NoError(t, os.WriteFile(script, systemdLab, 0o600))
	link := filepath.Join(bin, "root")
	require.NoError(t, os.Symlink("/", link))
	for _, dir := range []string{"/", "/run", "/run/..", "//", link, "/tmp", "/etc"} {
		cmd := exec.Command(bash, script, "-b", dir, "--", "true")
		cmd.Env = []string{"PATH=" + bin}
		out, err := cmd.CombinedOutput()
		require.Error(t, err, dir)
		require.Equal(t, 64, cmd.ProcessState.ExitCode(), "%s: %s", dir, out)
		require.Contains(t, string(out), "would hand the machine itself")
	}
}
