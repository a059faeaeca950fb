//go:build linux

// Package nofile remembers the RLIMIT_NOFILE that the program was started with.
//
// Package syscall raises the soft limit to just below the hard one when it is
// initialised (go.dev/issue/46279), keeps the original private and restores it
// only in its own exec paths. Whoever execs by another path has to know the
// original: a daemon started under "ulimit -Sn 1024" must not find a million.
//
// The original can be read only before package syscall is initialised. The
// language specification says how: packages are sorted by import path, and the
// first one in that order with no uninitialised imports comes next. So this
// package imports nothing that syscall does not need itself, and its path
// sorts before "syscall".
package nofile

import (
	"runtime"
	"unsafe"
)

// Limit is a resource limit as prlimit(2) has it, in descriptors.
type Limit struct {
	Soft, Hard uint64
}

const rlimitNofile = 7 // RLIMIT_NOFILE, on every architecture but mips and sparc

var original, known = read()

// Original returns the limit as it was when the program started. It is not
// known where prlimit(2) failed or its number is not listed below.
func Original() (limit Limit, ok bool) {
	return original, known
}

func read() (limit Limit, ok bool) {
	number := prlimit64()
	if number == 0 {
		return Limit{}, false
	}
	_, _, errno := rawSyscall6(number, 0, rlimitNofile, 0, uintptr(unsafe.Pointer(&limit)), 0, 0)
	return limit, errno == 0
}

// prlimit64 is the number of the system call: the constants of package syscall
// are out of reach, because importing it would initialise it first.
func prlimit64() uintptr {
	switch runtime.GOARCH {
	case "amd64":
		return 302
	case "arm64", "loong64", "riscv64":
		return 261
	case "386":
		return 340
	case "arm":
		return 369
	case "ppc64", "ppc64le":
		return 325
	case "s390x":
		return 334
	}
	return 0
}

// rawSyscall6 is syscall.RawSyscall6, which needs no initialisation. Package
// syscall offers it for go:linkname (see its declaration there); reaching it
// this way is what keeps syscall out of the imports.
//
//go:linkname rawSyscall6 syscall.RawSyscall6
//go:noescape
func rawSyscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)
