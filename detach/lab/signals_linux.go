package lab

import (
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DefaultSignals undoes what the test process was started with ignored, so
// that what a test finds is its own doing. Some environments ignore signal 32,
// which the Go runtime leaves alone.
func DefaultSignals() {
	s, ok := ReadStatus(os.Getpid())
	if !ok {
		return
	}
	ignored, err := strconv.ParseUint(s["SigIgn"], 16, 64)
	if err != nil {
		return
	}
	var action [32]uint64 // SIG_DFL, in whatever layout
	for n := uintptr(1); n <= 64; n++ {
		if ignored&(1<<(n-1)) != 0 {
			_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, n, uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
		}
	}
}
