package doublefork

import "syscall"

// sys is a raw system call that gives its error only. One small function for
// most of them keeps the frames of the clones small: together they must fit
// into the stack that go:nosplit leaves, without optimisation (-N -l) too.
//
//go:noinline
//go:nosplit
//go:norace
func sys(trap, a1, a2, a3, a4, a5 uintptr) (errno syscall.Errno) {
	_, _, errno = syscall.RawSyscall6(trap, a1, a2, a3, a4, a5, 0)
	return
}
