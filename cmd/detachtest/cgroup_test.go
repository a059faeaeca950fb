//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

func TestMountPoint(t *testing.T) {
	const mounts = `proc /proc proc rw 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup2 /mnt/a\040b\134c cgroup2 rw 0 0
cgroup2 /elsewhere cgroup2 rw 0 0
`
	path, ok := mountPoint(mounts, "cgroup2")
	require.True(t, ok)
	require.Equal(t, `/mnt/a b\c`, path)
	_, ok = mountPoint("proc /proc proc rw 0 0\nx\n", "cgroup2")
	require.False(t, ok)
}

func TestUnifiedCgroup(t *testing.T) {
	path, ok := unifiedCgroup("9:name=systemd:/x\n3:cpuset:/0::/no\n0::/a/b c\n")
	require.True(t, ok)
	require.Equal(t, "/a/b c", path)
	_, ok = unifiedCgroup("9:name=systemd:/x\n")
	require.False(t, ok)
}

// Both ways of killing a cgroup reach those in cgroups below it, and all that
// they fork meanwhile, and nobody else.
func TestKillCgroup(t *testing.T) {
	for name, kill := range map[string]func(context.Context, string) error{"cgroup.kill": killCgroup, "loop": killMembers} {
		t.Run(name, func(t *testing.T) {
			if reason := lacksCgroup(); reason != "" {
				lab.Skip(t, reason)
			}
			dir, err := makeCgroup()
			require.NoError(t, err)
			t.Cleanup(func() { _ = removeCgroup(dir) })
			spared, err := makeCgroup()
			require.NoError(t, err)
			t.Cleanup(func() { _ = removeCgroup(spared) })
			child := filepath.Join(dir, "child")
			require.NoError(t, os.Mkdir(child, 0o755))

			start := func(dir, line string) *exec.Cmd {
				cmd := exec.Command("sh", "-c", `echo 0 >"$1/cgroup.procs"; shift; `+line, "sh", dir)
				require.NoError(t, cmd.Start())
				lab.Until(t, "it is in its cgroup", func() bool {
					members, err := cgroupMembers(dir)
					require.NoError(t, err)
					return len(members) > 0
				})
				return cmd
			}
			forking := start(dir, "while :; do sleep 1000 & kill $!; wait $!; done")
			below := start(child, "exec sleep 1000")
			other := start(spared, "exec sleep 1000")
			require.NoError(t, kill(t.Context(), dir))
			for _, cmd := range []*exec.Cmd{forking, below} {
				lab.Until(t, "it is dead", func() bool { return !lab.Alive(cmd.Process.Pid) })
				_ = cmd.Wait() // the status is looked at
				require.Equal(t, unix.SIGKILL, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
			}
			require.NoError(t, removeCgroup(dir))
			require.NoDirExists(t, dir)
			require.True(t, lab.Alive(other.Process.Pid))
			require.NoError(t, removeCgroup(spared))
			_ = other.Wait() // killed
		})
	}
}
