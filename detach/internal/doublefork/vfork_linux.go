//go:build amd64 || arm64

package doublefork

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// shareMemory makes the clones run in the caller's memory, see clone(2).
const shareMemory = unix.CLONE_VM

// rawClone is clone(2) on the parent's stack. The return address must not stay
// on that stack: the child returns first and overwrites it. This is why
// syscall.RawSyscall does not do, and why syscall.rawVforkSyscall does not do
// from another package either: it is reached through an ABI wrapper, whose
// frame the child destroys (go.dev/issue/71892).
//
//go:noescape
func rawClone(flags uintptr, pidfd *int32) (pid uintptr, errno syscall.Errno)

// rawCloneOnto is clone(2) on a stack of the child's own, which begins, and
// ends, in becomeDaemon(m), whose address is daemonEntry.
func rawCloneOnto(flags, stack uintptr, pidfd *int32, m *image, entry uintptr) (pid uintptr, errno syscall.Errno)

// daemonEntry is where the code of becomeDaemon begins, by which the stub calls
// it as Go does: with the argument in the first register. By its name an
// assembly stub gets a wrapper that the compiler makes, and under -race that
// calls into the race detector, go:norace or not. There the daemon-to-be once
// waited for ever for a lock of a thread that it has no copy of.
var (
	daemonFunc  = becomeDaemon
	daemonEntry = **(**uintptr)(unsafe.Pointer(&daemonFunc))
)
