package doublefork

import _ "unsafe" // for go:linkname

// The runtime's fork protocol. Reachable by go:linkname and promised to stay
// so (go.dev/issue/67401: gVisor needs them too); present with this signature
// in every release from Go 1.9 to Go 1.26. A test compares the declarations
// with those of package syscall.

// runtimeBeforeFork blocks all signals of this thread, so that no handler runs
// in a clone, and poisons the stack guard of this goroutine.
//
//go:linkname runtimeBeforeFork syscall.runtime_BeforeFork
func runtimeBeforeFork()

// runtimeAfterFork undoes runtimeBeforeFork, in the parent.
//
//go:linkname runtimeAfterFork syscall.runtime_AfterFork
func runtimeAfterFork()
