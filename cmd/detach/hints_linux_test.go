package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// Where there is no systemd no hint leads to what is refused next.
func TestHintsWithoutSystemd(t *testing.T) {
	lab.Root(t)
	cmd := exec.Command(lab.Program(t, "unshare"), "-m", "sh", "-c", `mount -t tmpfs none /run && exec sh -c "$@"`, "sh", sectionsPrelude+`
hint() { title=$1; shift; say $title; "$D" -p pid "$@" -- sleep 1000 2>&1 | sed -n 's/^hint: //p'; ls pid* 2>/dev/null; }
hint restart --restart always
hint 'restart by fork' --via fork --restart always
hint watchdog --watchdog 5s
hint plainly --via systemd
hint limits --via systemd --cpus 1
hint cgroup --cgroup /my4
say limits by fork; "$D" --via fork --memory 1G --cpus 1 --tasks 5 --io-weight 5 -- sleep 1000
say hierarchy; "$D" --via cgroup --cgroup /sys/fs/cgroup/nosuch/x -p pid -- sleep 1000
true
`, lab.Bin(t, "detach"))
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	got := sectionsOf(t, out)
	const unsupervised = "only systemd looks after a daemon, and it is not the init here: leave out --restart and --watchdog, or have the init of this machine start the program"
	require.Equal(t, unsupervised, got["restart"])
	require.Equal(t, unsupervised, got["restart by fork"])
	require.Equal(t, unsupervised, got["watchdog"])
	require.Equal(t, "systemd is not the init here; --via fork does without", got["plainly"])
	require.Equal(t, "systemd is not the init here; --via cgroup does without", got["limits"])
	require.Equal(t, "--cgroup goes with --via cgroup", got["cgroup"])
	require.Equal(t, "detach: limit memory, cpus, tasks, io-weight: is of a cgroup, and a fork stays in the caller's; have it held by systemd or by a cgroup of its own", got["limits by fork"])
	require.Regexp(t, `^detach: cgroup /sys/fs/cgroup/nosuch/x: is a path in the file system that is not below /\S+( or /\S+)?; one within the hierarchy is as in /proc/PID/cgroup$|`+
		`^detach: create cgroup /sys/fs/cgroup/nosuch/x: |^detach: via cgroup: `, got["hierarchy"], "where version 2 is mounted there, it is below")
}
