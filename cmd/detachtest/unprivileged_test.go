//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// Whoever is not root has what deaths the machine lets everybody stage, and is
// told why not the others.
func TestUnprivileged(t *testing.T) {
	lab.Root(t) // to be somebody else than the owner of all cgroups
	folder := temporaryFolder(t)
	require.NoError(t, os.Chmod(folder, 0o777))
	cmd := exec.Command(lab.Program(t, "setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups",
		lab.Build(t, "cmd/detachtest"), "--format=json", "--only=sigkill,cgroup-kill,logout,container-stop", "--shell", "--", "exec {} >/dev/null 2>&1")
	cmd.Dir = "/"
	cmd.Env = append(cmd.Environ(), "TMPDIR="+folder)
	out, err := cmd.Output()
	require.NoError(t, err, "%s", out)
	var r testReport
	require.NoError(t, json.Unmarshal(out, &r))
	verdicts := map[string]verdict{}
	for _, v := range r.Verdicts {
		verdicts[v.Death] = v
	}
	requireVerdict(t, sigkill, verdicts["sigkill"], "")
	for name, why := range map[string]string{"cgroup-kill": "no cgroup can be made: ", "logout": "only root can open a login session"} {
		require.Equal(t, notRun, verdicts[name].Outcome)
		require.Contains(t, verdicts[name].Why, why)
	}
	requireVerdict(t, containerStop, verdicts["container-stop"], "SIGKILL")
	requireNothingLeft(t, folder)
}
