//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sigset is a set of signals as the kernel prints it: bit n-1 is signal n.
type sigset uint64

func (s sigset) has(sig unix.Signal) bool { return s>>(sig-1)&1 == 1 }

// programSignals are the signals that a program can ignore and block: not
// SIGKILL and SIGSTOP, which nobody can, and not 32 and 33, which C libraries
// keep for themselves and let no program set.
const programSignals = ^sigset(0) &^ (1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1) | 1<<(32-1) | 1<<(33-1))

// String returns the names, or numbers where there are none.
func (s sigset) String() string {
	var names []string
	for sig := unix.Signal(1); sig <= lastSignal; sig++ {
		if !s.has(sig) {
			continue
		}
		name := unix.SignalName(sig)
		if name == "" {
			name = fmt.Sprint(int(sig))
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// lastSignal is the highest signal number.
const lastSignal = 64

// undoRuntimeSignals gives each signal the effect it would have had on a
// program in C: the default one, or none for the signals in deaf. The Go
// runtime catches nearly all signals when it starts, even those the launcher
// had ignored or blocked, and makes broken pipes fatal or not by rules of its
// own. A probe has to die of what would kill an ordinary program.
func undoRuntimeSignals(deaf sigset) error {
	for sig := unix.Signal(1); sig <= lastSignal; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP: // nobody can change these
			continue
		case unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGURG: // the runtime lives on these
			continue
		}
		if err := setDisposition(sig, deaf.has(sig)); err != nil {
			return err
		}
	}
	return nil
}

// ignoreAndBlock leaves this thread in a state in which a program that it
// becomes gets none of the signals. It is not fit for anything else then.
func ignoreAndBlock(set sigset) error {
	for sig := unix.Signal(1); sig <= lastSignal; sig++ {
		if !set.has(sig) {
			continue
		}
		if err := setDisposition(sig, true); err != nil {
			return err
		}
	}
	mask := uint64(set)
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&mask)), 0, sigsetSize, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("rt_sigprocmask", errno)
	}
	return nil
}

const sigsetSize = 8 // of the kernel's sigset_t, in bytes

// setDisposition has a signal ignored, or do what it does by default. Package
// os/signal would keep those that the Go runtime needs.
func setDisposition(sig unix.Signal, ignored bool) error {
	// struct sigaction has the handler first on every architecture but MIPS,
	// and zeros are right for all the rest. It is larger here than anywhere.
	var action [8]uintptr // SIG_DFL
	if ignored {
		action[0] = 1 // SIG_IGN
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, sigsetSize, 0, 0)
	if errno != 0 {
		return fmt.Errorf("set signal %d: %w", int(sig), errno)
	}
	return nil
}
