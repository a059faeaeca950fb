//go:build linux

package nofile_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/detachkit/detach/detach/internal/nofile"
	"github.com/stretchr/testify/require"
)

// This test is an external one on purpose: an internal one would make the
// package import syscall.
//
// The order of initialisation is what this package stands on: under a soft
// limit of its own the program must see that one, not what Go made of it.
func TestOriginalIsReadBeforeSyscallRaisesIt(t *testing.T) {
	if os.Getenv("NOFILE_PRINT") != "" {
		limit, ok := nofile.Original()
		fmt.Println(limit.Soft, limit.Hard, ok)
		os.Exit(0)
	}
	var now syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now))
	require.Greater(t, now.Max, uint64(200), "the hard limit leaves no room for the test")

	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command("sh", "-c", `ulimit -Sn 100; exec "$0" "$@"`, self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "NOFILE_PRINT=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, fmt.Sprintln(100, now.Max, true), string(out))
}
