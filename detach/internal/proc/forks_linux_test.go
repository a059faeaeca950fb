package proc

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForks(t *testing.T) {
	before, err := Forks()
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, exec.Command("/proc/self/exe", "-test.run=^$").Run())
	}
	after, err := Forks()
	require.NoError(t, err)
	require.GreaterOrEqual(t, after, before+3)
	most, err := PIDMax()
	require.NoError(t, err)
	require.Greater(t, most, uint64(300))
}

func FuzzParseForks(f *testing.F) {
	f.Add([]byte("cpu  1 2 3\nctxt 5\nprocesses 1393800\nprocs_running 1\n"))
	f.Add([]byte("processes \n"))
	f.Add([]byte("processes 99999999999999999999\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseForks(data)
		if err != nil {
			require.Zero(t, n)
		}
	})
}
