package doublefork

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forkIntermediate makes the first clone. The parent comes back from it when
// the intermediate has exited; the intermediate makes the session and the
// daemon, reports and exits.
//
//go:noinline
//go:norace
//go:nocheckptr
func forkIntermediate(m *image) (pid uintptr, errno syscall.Errno) {
	var daemon uintptr

	// Called here and not by the caller: from now on a function with a stack
	// check, such as this one, cannot be entered.
	runtimeBeforeFork()
	pid, errno = rawClone(shareMemory|unix.CLONE_VFORK|unix.CLONE_FILES, nil)
	if errno != 0 || pid != 0 {
		return // at once: the child has worked in this frame
	}

	// The intermediate. No more allocation, no := and only nosplit functions.
	errno = sys(unix.SYS_SETSID, 0, 0, 0, 0, 0)
	if errno != 0 {
		reportFailure(m, Setsid, errno)
		exit(1)
	}
	// No CLONE_FILES: from there the daemon has its own copy of the descriptors.
	// And a stack of its own, which grows downwards. The manager waits for the
	// intermediate and for nobody else: if somebody kills the intermediate now,
	// the manager and the daemon-to-be go on at once, and on one stack each
	// would overwrite the other's return addresses.
	daemon, errno = rawCloneOnto(m.share|unix.CLONE_VFORK|unix.CLONE_PIDFD|uintptr(unix.SIGCHLD),
		(uintptr(unsafe.Pointer(&m.stack))+unsafe.Sizeof(m.stack))&^63, &m.pidfd, m, daemonEntry)
	if errno != 0 {
		reportFailure(m, ForkDaemon, errno)
		exit(1)
	}
	// The daemon has exec'd or is dead. If it reported a failure it is on its
	// way out: wait for it, so that it becomes nobody's zombie.
	sys(unix.SYS_IOCTL, uintptr(m.report), unix.TIOCINQ, uintptr(unsafe.Pointer(&m.queued)), 0, 0)
	if m.queued > 0 {
		sys(unix.SYS_WAIT4, daemon, 0, unix.WALL, 0, 0)
	}
	// Where memory is not shared the caller learns the PID, and which
	// descriptor is its pidfd, from here only.
	m.record.kind = started
	m.record.a = int32(daemon)
	m.record.b = m.pidfd
	writeRecord(m)
	exit(0)
	return // not reached
}
