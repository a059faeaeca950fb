//go:build linux

package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sigset is a set of signals as the kernel prints it: bit n-1 is signal n.
type sigset uint64

func (s sigset) has(sig unix.Signal) bool { return s>>(sig-1)&1 == 1 }

// lastSignal is the highest signal number.
const lastSignal = 64

// undoRuntimeSignals gives each signal the effect it would have had on a
// program in C: the default one, or none for the signals in deaf. The Go
// runtime catches nearly all signals when it starts, even those the launcher
// had ignored or blocked, and makes broken pipes fatal or not by rules of its
// own. A probe has to die of what would kill an ordinary program.
func undoRuntimeSignals(deaf sigset) error {
	// struct sigaction has the handler first on every architecture but MIPS,
	// and zeros are right for all the rest. It is larger here than anywhere.
	var action [8]uintptr
	for sig := unix.Signal(1); sig <= lastSignal; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP: // nobody can change these
			continue
		case unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGURG: // the runtime lives on these
			continue
		}
		action[0] = 0 // SIG_DFL
		if deaf.has(sig) {
			action[0] = 1 // SIG_IGN
		}
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
		if errno != 0 {
			return fmt.Errorf("set signal %d: %w", int(sig), errno)
		}
	}
	return nil
}
