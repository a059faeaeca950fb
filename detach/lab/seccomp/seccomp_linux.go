// Package seccomp makes system calls fail, by the argument if need be: fault
// injection from within, where strace cannot tell one clone(2) from another.
package seccomp

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rule makes a system call fail. The zero Mask matches any argument.
type Rule struct {
	Call        uintptr
	Arg         int    // index of the argument that is looked at
	Mask, Value uint32 // matches if its low 32 bits, masked, are Value
	Errno       syscall.Errno
	Kill        bool // kill the process instead
}

// Install applies the rules to the calling thread and to all that is cloned
// from it, for ever. Precondition: the goroutine is locked to the thread, and
// the thread is not used afterwards.
func Install(rules ...Rule) error {
	program := compile(rules)
	// Without privileges a filter is allowed only to who gains none by exec.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER,
		uintptr(unsafe.Pointer(&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})), 0, 0)
}

// compile makes the BPF program; offsets are those of struct seccomp_data,
// seccomp(2).
func compile(rules []Rule) []unix.SockFilter {
	const number, args = 0, 16
	var p []unix.SockFilter
	for _, r := range rules {
		action := uint32(unix.SECCOMP_RET_ERRNO) | uint32(r.Errno)
		if r.Kill {
			action = unix.SECCOMP_RET_KILL_PROCESS
		}
		low := uint32(args + 8*r.Arg)
		if bigEndian() {
			low += 4
		}
		p = append(p,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(r.Call), Jf: 4},
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: low},
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: r.Mask},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: r.Value, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action},
		)
	}
	return append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}

func bigEndian() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 0
}
