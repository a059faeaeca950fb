package doublefork

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// User is who the daemon is to be.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary ones
}

// capabilities is what capset(2) takes.
type capabilities struct {
	header unix.CapUserHeader
	none   [2]unix.CapUserData
}

// changeUser makes this process another user's, with no way back. Each of these
// system calls changes the calling thread only, which is all of this process.
//
//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func changeUser(m *image) (errno syscall.Errno) {
	m.step = SetGroups
	if errno = sys(sysSetgroups, m.groupCount, uintptr(unsafe.Pointer(m.groups)), 0, 0, 0); errno != 0 {
		return errno
	}
	m.step = SetGID
	if errno = sys(sysSetresgid, m.gid, m.gid, m.gid, 0, 0); errno != 0 {
		return errno
	}
	m.step = SetUID
	if errno = sys(sysSetresuid, m.uid, m.uid, m.uid, 0, 0); errno != 0 {
		return errno
	}
	if m.uid == 0 {
		return 0
	}
	// Mostly they have gone with the user, but not under some securebits, see
	// capabilities(7); the inheritable ones never have.
	m.step = DropCapabilities
	return sys(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&m.caps.header)), uintptr(unsafe.Pointer(&m.caps.none)), 0, 0, 0)
}
