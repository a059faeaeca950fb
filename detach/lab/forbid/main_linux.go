// Forbid runs a command in which one system call fails, told apart by the bits
// of one of its arguments:
//
//	forbid NUMBER ARG MASK VALUE ERRNO COMMAND [ARG...]
//
// It is what strace --inject is for system calls that the argument must tell
// apart, such as clone(2).
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"github.com/detachkit/detach/detach/lab/seccomp"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "forbid:", err)
		os.Exit(125)
	}
}

func run(args []string) error {
	if len(args) < 6 {
		return fmt.Errorf("usage: forbid NUMBER ARG MASK VALUE ERRNO COMMAND [ARG...]")
	}
	var n [5]uint64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseUint(args[i], 0, 32); err != nil {
			return err
		}
	}
	path, err := exec.LookPath(args[5])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := seccomp.Install(seccomp.Rule{
		Call: uintptr(n[0]), Arg: int(n[1]), Mask: uint32(n[2]), Value: uint32(n[3]), Errno: syscall.Errno(n[4]),
	}); err != nil {
		return err
	}
	return syscall.Exec(path, args[5:], os.Environ())
}
