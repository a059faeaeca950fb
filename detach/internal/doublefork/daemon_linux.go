package doublefork

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// becomeDaemon is the second clone. It takes the remaining steps and execs; if
// one fails it takes the PID file back, reports and exits.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func becomeDaemon(m *image) {
	var errno syscall.Errno
	var placed bool

	m.step, errno = ResetSignals, resetDispositions(m)
	if errno == 0 {
		errno = enterCgroups(m)
	}
	if errno == 0 && m.oomLength > 0 {
		errno = adjustOOMScore(m)
	}
	if errno == 0 {
		setUmask(m)
	}
	if errno == 0 && m.dir != nil {
		m.step, errno = Chdir, sys(unix.SYS_CHDIR, uintptr(unsafe.Pointer(m.dir)), 0, 0, 0, 0)
	}
	if errno == 0 {
		errno = placeStdio(m)
	}
	if errno == 0 {
		// To the largest number there is, not to RLIMIT_NOFILE: the limit may
		// have been lowered below what is open.
		m.step, errno = CloseDescriptors, sys(unix.SYS_CLOSE_RANGE, 3, uintptr(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC, 0, 0)
		if errno == unix.ENOSYS || errno == unix.EPERM || errno == unix.EINVAL {
			// Before Linux 5.9; forbidden by a seccomp filter; before 5.11.
			errno = closeListed(m)
		}
	}
	if errno == 0 && m.nofile != nil {
		m.step, errno = SetNOFILE, sys(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(m.nofile)), 0, 0)
	}
	if errno == 0 && m.notifyAs > 0 {
		// After close_range, which would mark it, and none of m's own
		// descriptors is in its way.
		m.step, errno = DupNotify, sys(unix.SYS_DUP3, uintptr(m.notify), uintptr(m.notifyAs), 0, 0, 0)
	}
	if errno == 0 && m.pidName != nil {
		errno = placePIDFile(m)
		placed = errno == 0
	}
	if errno == 0 {
		errno = setLimits(m)
	}
	if errno == 0 && m.changeUser {
		errno = changeUser(m)
	}
	if errno == 0 {
		// So late that until here nothing but SIGKILL ends this process, not
		// even a SIGXFSZ for the PID file. It cannot fail: where it does, Go
		// programs do not run at all.
		sys(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&m.zeros)), 0, sigsetLen, 0)
		m.step, errno = Exec, sys(unix.SYS_EXECVE, uintptr(unsafe.Pointer(m.path)), uintptr(unsafe.Pointer(m.argv)), uintptr(unsafe.Pointer(m.envp)), 0, 0)
	}
	if placed { // another user may not; then the caller does it
		sys(unix.SYS_UNLINKAT, uintptr(m.pidDir), uintptr(unsafe.Pointer(m.pidName)), 0, 0, 0)
	}
	reportFailure(m, m.step, errno)
	exit(1)
}

const (
	signals   = 64 // signal(7): 1 to 64
	sigsetLen = 8  // the kernel's sigset_t, in bytes
)

// resetDispositions makes every signal do what it does by default. Over
// execve(2) handlers are reset but ignored signals stay ignored; and while the
// memory is shared no handler of the caller's may run here.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func resetDispositions(m *image) (errno syscall.Errno) {
	var signal uintptr

	for signal = 1; signal <= signals; signal++ {
		if signal == uintptr(unix.SIGKILL) || signal == uintptr(unix.SIGSTOP) {
			continue
		}
		if errno = sys(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&m.zeros)), 0, sigsetLen, 0); errno != 0 {
			return errno
		}
	}
	return 0
}

// setUmask sets the umask, by default the caller's with 022 added. umask(2)
// cannot fail, and cannot be read without being set: here no other thread sees
// that.
//
//go:noinline
//go:nosplit
//go:norace
func setUmask(m *image) {
	var mask uintptr

	mask = uintptr(m.umask)
	if m.umask < 0 {
		mask, _, _ = syscall.RawSyscall6(unix.SYS_UMASK, 0o777, 0, 0, 0, 0, 0)
		mask |= 0o022
	}
	sys(unix.SYS_UMASK, mask, 0, 0, 0, 0)
}

// placeStdio puts descriptors 0, 1 and 2 in place. All three sources are above
// 2: none is overwritten before its turn, and none is its own target, which
// would stay close-on-exec.
//
//go:noinline
//go:nosplit
//go:norace
func placeStdio(m *image) (errno syscall.Errno) {
	m.step = DupStdin
	if errno = sys(unix.SYS_DUP3, uintptr(m.stdin), 0, 0, 0, 0); errno != 0 {
		return errno
	}
	m.step = DupStdout
	if errno = sys(unix.SYS_DUP3, uintptr(m.stdout), 1, 0, 0, 0); errno != 0 {
		return errno
	}
	m.step = DupStderr
	return sys(unix.SYS_DUP3, uintptr(m.stderr), 2, 0, 0, 0)
}

// placePIDFile writes this process's PID into the prepared file and renames it
// into place.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func placePIDFile(m *image) (errno syscall.Errno) {
	var pid, i, n uintptr

	m.step = WritePIDFile
	pid, _, _ = syscall.RawSyscall6(unix.SYS_GETPID, 0, 0, 0, 0, 0, 0)
	i = uintptr(len(m.digits)) - 1
	m.digits[i] = '\n'
	for pid > 0 {
		i--
		m.digits[i] = byte('0' + pid%10)
		pid /= 10
	}
	n, _, errno = syscall.RawSyscall6(unix.SYS_WRITE, uintptr(m.pidFD), uintptr(unsafe.Pointer(&m.digits[i])), uintptr(len(m.digits))-i, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if n != uintptr(len(m.digits))-i {
		return unix.ENOSPC // what the rest of it would have met
	}
	m.step = PlacePIDFile
	_, _, errno = syscall.RawSyscall6(unix.SYS_RENAMEAT2,
		uintptr(m.pidDir), uintptr(unsafe.Pointer(m.pidTemp)),
		uintptr(m.pidDir), uintptr(unsafe.Pointer(m.pidName)), 0, 0)
	return
}
