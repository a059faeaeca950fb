package doublefork

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

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

//go:noinline
//go:norace
//go:nocheckptr
func cloneOnto(m *image) (pid uintptr, errno syscall.Errno) {
	runtimeBeforeFork()
	pid, errno = rawCloneOnto(shareMemory|unix.CLONE_VFORK|uintptr(unix.SIGCHLD),
		(uintptr(unsafe.Pointer(&m.stack))+unsafe.Sizeof(m.stack))&^63, nil, m, daemonEntry)
	runtimeAfterFork()
	return
}

// The other stub: the child begins in becomeDaemon, on its own stack, with the
// image that it was given, and walks all of its steps to the last.
func TestRawCloneOnto(t *testing.T) {
	r, w, err := newReportPipe()
	require.NoError(t, err)
	defer unix.Close(r)
	defer unix.Close(w)
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(null)
	m, err := newImage(&Spec{Path: "/nonexistent", Umask: -1, Stdio: [3]int{null, null, null}})
	require.NoError(t, err)
	m.report = w
	pid, errno := cloneOnto(m)
	require.Zero(t, errno)
	var status unix.WaitStatus
	_, err = unix.Wait4(int(pid), &status, 0, nil)
	require.NoError(t, err)
	require.Equal(t, 1, status.ExitStatus())
	var said record
	require.True(t, readRecord(r, &said))
	require.Equal(t, record{failure, int32(Exec), int32(unix.ENOENT)}, said)
	runtime.KeepAlive(m)
}

// The arm64 stubs are executed by qemu-user. That is faithful to the
// instructions and not to the kernel: it makes a copying fork of vfork,
// refuses CLONE_FILES with it and has no pidfd from clone, so the double fork
// as a whole does not run there.
func TestArm64StubsUnderQemu(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("this is one: all other tests have run on it")
	}
	qemu := lab.Program(t, "qemu-aarch64-static")
	binary := filepath.Join(t.TempDir(), "arm64.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.Command(qemu, binary, "-test.run=^TestRawClone", "-test.v").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: TestRawClone ")
	require.Contains(t, string(out), "--- PASS: TestRawCloneOnto ")
}
