package doublefork

import (
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Limit is a resource limit, see setrlimit(2).
type Limit struct {
	Resource   int // RLIMIT_*
	Soft, Hard uint64
}

// limit is one as prlimit64(2) takes it.
type limit struct {
	resource uintptr
	pair     unix.Rlimit
}

var procSelfOOM = [...]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'o', 'o', 'm', '_', 's', 'c', 'o', 'r', 'e', '_', 'a', 'd', 'j', 0}

// prepareOOMScore makes what is written to oom_score_adj.
func (m *image) prepareOOMScore(adj int) {
	m.oomLength = uintptr(copy(m.oomDigits[:], strconv.Itoa(adj)))
}

// adjustOOMScore opens the file itself: one that the caller had opened would be
// the caller's. While the memory is shared the kernel takes care to change this
// process alone, since it is the child of a vfork (__set_oom_adj in
// fs/proc/base.c).
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func adjustOOMScore(m *image) (errno syscall.Errno) {
	var fd uintptr

	m.step = SetOOMScore
	fd, _, errno = syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(atFDCWD), uintptr(unsafe.Pointer(&procSelfOOM)), unix.O_WRONLY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return sys(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&m.oomDigits)), m.oomLength, 0, 0)
}

// setLimits comes after the PID file, which RLIMIT_FSIZE could cut short, and
// before the user changes, who may not raise them.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func setLimits(m *image) (errno syscall.Errno) {
	var i uintptr
	var l *limit

	m.step = SetLimit
	for i = 0; i < m.limitCount; i++ {
		l = (*limit)(unsafe.Add(unsafe.Pointer(m.limits), i*unsafe.Sizeof(*l)))
		if errno = sys(unix.SYS_PRLIMIT64, 0, l.resource, uintptr(unsafe.Pointer(&l.pair)), 0, 0); errno != 0 {
			return errno
		}
	}
	if m.renice {
		m.step = SetNice
		errno = sys(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, uintptr(m.nice), 0, 0)
	}
	return errno
}

// enterCgroups moves this process into the cgroups whose cgroup.procs are open.
// CLONE_INTO_CGROUP could do that at once, but some kernels kill who is made so
// in a cgroup that was killed as a whole before.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func enterCgroups(m *image) (errno syscall.Errno) {
	var i uintptr

	m.step = EnterCgroup
	m.digits[0] = '0' // the process that writes, see cgroups(7)
	for i = 0; i < MaxCgroups; i++ {
		if m.cgroups[i] == 0 {
			break
		}
		if errno = sys(unix.SYS_WRITE, uintptr(m.cgroups[i]), uintptr(unsafe.Pointer(&m.digits)), 1, 0, 0); errno != 0 {
			return errno
		}
	}
	return 0
}
