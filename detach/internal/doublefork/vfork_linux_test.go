package doublefork

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// cloneAndExit makes a child that only exits. See forkIntermediate.
//
//go:noinline
//go:norace
//go:nocheckptr
func cloneAndExit(flags uintptr) (pid uintptr, errno syscall.Errno) {
	runtimeBeforeFork()
	pid, errno = rawClone(flags, nil)
	if errno != 0 || pid != 0 {
		return
	}
	exit(7)
	return // not reached
}

//go:noinline
//go:norace
func cloneAndReturn(flags uintptr) (pid uintptr, errno syscall.Errno) {
	pid, errno = cloneAndExit(flags)
	runtimeAfterFork()
	return
}

// The stub alone: the child goes on from it, the parent comes back from it,
// and an error is told from a PID.
func TestRawClone(t *testing.T) {
	for range 100 {
		pid, errno := cloneAndReturn(shareMemory | unix.CLONE_VFORK | uintptr(unix.SIGCHLD))
		require.Zero(t, errno)
		var status unix.WaitStatus
		reaped, err := unix.Wait4(int(pid), &status, 0, nil)
		require.NoError(t, err)
		require.Equal(t, int(pid), reaped)
		require.Equal(t, 7, status.ExitStatus())
	}
	// A thread without shared signal handlers: clone(2) refuses that.
	_, errno := cloneAndReturn(unix.CLONE_THREAD)
	require.Equal(t, unix.EINVAL, errno)
}

// The arm64 stub is executed by qemu-user. That is faithful to the
// instructions and not to the kernel: it makes a copying fork of vfork,
// refuses CLONE_FILES with it and has no pidfd from clone, so the double fork
// as a whole does not run there.
func TestArm64StubUnderQemu(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("this is one: all other tests have run on it")
	}
	qemu := lab.Program(t, "qemu-aarch64-static")
	binary := filepath.Join(t.TempDir(), "arm64.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.Command(qemu, binary, "-test.run=^TestRawClone$", "-test.v").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: TestRawClone")
}
