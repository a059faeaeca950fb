package doublefork

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var (
	procSelfFD       = [...]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'f', 'd', 0}
	atFDCWD    int32 = unix.AT_FDCWD // a variable: the constant is negative
)

// closeListed marks every descriptor above 2 that /proc/self/fd lists
// close-on-exec, where close_range(2) cannot. No loop over all possible
// numbers: there may be a billion.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func closeListed(m *image) (errno syscall.Errno) {
	// In struct linux_dirent64, getdents64(2).
	const lengthOffset, nameOffset = 16, 19 // of d_reclen and d_name
	var dir, n, at, i, fd uintptr

	dir, _, errno = syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(atFDCWD), uintptr(unsafe.Pointer(&procSelfFD)), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	for {
		n, _, errno = syscall.RawSyscall6(unix.SYS_GETDENTS64, dir, uintptr(unsafe.Pointer(&m.dirents)), unsafe.Sizeof(m.dirents), 0, 0, 0)
		if errno != 0 || n == 0 {
			return errno
		}
		for at = 0; at < n; at += uintptr(*(*uint16)(unsafe.Pointer(&m.dirents[at+lengthOffset]))) {
			fd = 0
			for i = at + nameOffset; m.dirents[i] >= '0' && m.dirents[i] <= '9'; i++ {
				fd = fd*10 + uintptr(m.dirents[i]-'0')
			}
			if fd <= 2 { // or no number: "." and ".."
				continue
			}
			if _, _, errno = syscall.RawSyscall6(unix.SYS_FCNTL, fd, unix.F_SETFD, unix.FD_CLOEXEC, 0, 0, 0); errno != 0 {
				return errno
			}
		}
	}
}

// Above2 moves a descriptor out of the way of 0, 1 and 2, of which open(2)
// returns one in a process that has it closed. The new one is close-on-exec.
// After an error the old one is still open, and returned.
func Above2(fd int) (int, error) {
	if fd > 2 {
		return fd, nil
	}
	moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fd, err
	}
	unix.Close(fd)
	return moved, nil
}
