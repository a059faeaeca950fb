package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// startNaive is the double fork of the textbooks, from within a Go program: its
// clones do not share memory. It is here to be measured. It holds no lock
// against other forks and does nothing about signals, so nobody should copy it.
func startNaive(path string) (end func() error, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	report, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer report.Close()
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return nil, err
	}
	m := &naive{path: name, argv: [2]*byte{name}, null: null.Fd(), report: w.Fd()}
	intermediate, errno := naiveDoubleFork(m)
	runtime.KeepAlive(m)
	w.Close()
	if errno != 0 {
		return nil, os.NewSyscallError("clone", errno)
	}
	if _, err := syscall.Wait4(int(intermediate), nil, 0, nil); err != nil {
		return nil, os.NewSyscallError("wait4", err)
	}
	// End of file comes with the exec.
	answer, err := io.ReadAll(report)
	if err != nil {
		return nil, err
	}
	if len(answer) != int(unsafe.Sizeof(m.pid)) {
		return nil, fmt.Errorf("the intermediate wrote %d bytes", len(answer))
	}
	pid := int(binary.NativeEndian.Uint32(answer))
	return func() error {
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return os.NewSyscallError("pidfd_open", err)
		}
		return endPidfd(pidfd)
	}, nil
}

// naive is what the clones need, prepared before the fork.
type naive struct {
	path         *byte
	argv, envp   [2]*byte
	null, report uintptr
	pid          uint32
}

// naiveDoubleFork returns the PID of the intermediate. Each clone goes on with
// a copy of this frame, so what it does to it is not seen by its parent. It is
// a single thread of a Go program: no allocation, no scheduling, no stack
// growth (nosplit), no hooks of the race detector.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func naiveDoubleFork(m *naive) (pid uintptr, errno syscall.Errno) {
	var fd uintptr

	if pid, errno = plainFork(); pid != 0 || errno != 0 {
		return pid, errno
	}
	syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	if pid, errno = plainFork(); pid == 0 && errno == 0 {
		for fd = 0; fd <= 2; fd++ {
			syscall.RawSyscall(unix.SYS_DUP3, m.null, fd, 0)
		}
		syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(m.path)), uintptr(unsafe.Pointer(&m.argv)), uintptr(unsafe.Pointer(&m.envp)))
	} else if errno == 0 {
		m.pid = uint32(pid)
		syscall.RawSyscall(unix.SYS_WRITE, m.report, uintptr(unsafe.Pointer(&m.pid)), unsafe.Sizeof(m.pid))
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// plainFork is fork(2).
//
//go:nosplit
//go:norace
func plainFork() (pid uintptr, errno syscall.Errno) {
	if runtime.GOARCH == "s390x" { // there the first two arguments are swapped
		pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, 0, uintptr(unix.SIGCHLD), 0, 0, 0, 0)
		return
	}
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	return
}
