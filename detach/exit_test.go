package detach

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExitInWords(t *testing.T) {
	for words, e := range map[string]Exit{
		"it is not known how": {},
		"exit status 3":       {Known: true, Code: 3},
		"it is not known how, but the kernel has ended a process of it, since it reached its limit on memory": {OOM: true},
	} {
		require.Equal(t, words, e.String())
	}
	killed := Exit{Known: true, Signal: syscall.SIGKILL}
	require.Contains(t, killed.String(), "killed by ")
	require.NotContains(t, killed.String(), "memory")
	killed.OOM = true
	require.Contains(t, killed.String(), ", out of memory: it reached its limit")
}
