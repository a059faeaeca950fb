//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/detachkit/detach/detach/lab"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { lab.Main(m) }

// The numbers are not looked at: they are the machine's.
func TestBenchLeavesNothingBehind(t *testing.T) {
	bench := lab.Build(t, "detach/lab/bench")
	temp := t.TempDir()
	cmd := exec.Command(bench, "-quick", "-bin", filepath.Dir(lab.Bin(t, "detach")))
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Log(string(out))
	for _, section := range []string{"\n1. ", "\n2. ", "\n3. ", "\n4. "} {
		require.Contains(t, string(out), section)
	}
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
	require.Empty(t, ours(mentions(temp)), "processes of the bench")
}

func TestIdleIsSmall(t *testing.T) {
	image := idleELF()
	if image == nil {
		t.Skip("a Go program on this architecture")
	}
	require.Less(t, len(image), 200)
}

func TestMedianIsNotMovedByAnOutlier(t *testing.T) {
	require.EqualValues(t, 2, series{1000000, 1, 2}.median())
	require.Zero(t, series{}.median())
	require.Equal(t, 0.5, series{1}.over(series{2}))
	require.Zero(t, series{1}.over(nil))
}
