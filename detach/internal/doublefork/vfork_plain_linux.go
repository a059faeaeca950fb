//go:build !amd64 && !arm64

package doublefork

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shareMemory: without a stub of our own the clones get a copy of the memory.
// That is as correct and slower; CLONE_VFORK still makes each parent wait.
const shareMemory = 0

// rawClone is clone(2) on the parent's stack, or rather on the copy of it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rawClone(flags uintptr, pidfd *int32) (pid uintptr, errno syscall.Errno) {
	if runtime.GOARCH == "s390x" { // there the first two arguments are swapped
		pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, 0, flags, uintptr(unsafe.Pointer(pidfd)), 0, 0, 0)
		return
	}
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, flags, 0, uintptr(unsafe.Pointer(pidfd)), 0, 0, 0)
	return
}

const daemonEntry = 0 // becomeDaemon is called by its name

// rawCloneOnto needs no other stack where the child has a copy of it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rawCloneOnto(flags, _ uintptr, pidfd *int32, m *image, _ uintptr) (pid uintptr, errno syscall.Errno) {
	pid, errno = rawClone(flags, pidfd)
	if errno == 0 && pid == 0 {
		becomeDaemon(m)
	}
	return
}
