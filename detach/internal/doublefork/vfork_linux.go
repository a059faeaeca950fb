//go:build amd64 || arm64

package doublefork

import (
	"syscall"

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
// ends, in becomeDaemon(m).
func rawCloneOnto(flags, stack uintptr, pidfd *int32, m *image) (pid uintptr, errno syscall.Errno)

var _ = becomeDaemon // the stub calls it, which linters do not see
