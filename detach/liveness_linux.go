package detach

import (
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// openAlive opens a pidfd of a process that is alive and, where identity is
// not nil, is that process. It returns ErrExited if there is none. Where /proc
// hides it (hidepid=) it is alive, but known is false: nobody can tell whether
// it is that process.
//
// The pidfd is opened first and the identity checked after: what is checked is
// then what the pidfd holds, provided that it has not ended meanwhile.
func openAlive(pid int, identity *Identity) (pidfd int, stat proc.Stat, known bool, err error) {
	pidfd, err = unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH || err == unix.EINVAL || err == unix.ENOENT { // none, or a thread of one
		return -1, stat, false, ErrExited
	}
	if (err == unix.EPERM || err == unix.ENOSYS) && unix.Kill(pid, 0) == unix.ESRCH { // forbidden by a seccomp filter
		return -1, stat, false, ErrExited
	}
	if err != nil {
		return -1, stat, false, err
	}
	alive := false
	defer func() {
		if !alive {
			unix.Close(pidfd)
			pidfd = -1
		}
	}()
	stat, statErr := proc.ReadStat(pid)
	if hasEnded(pidfd) {
		return pidfd, stat, false, ErrExited
	}
	if identity != nil && statErr == nil {
		boot, _ := proc.BootID()
		if !sameBoot(boot, identity.BootID) || stat.Start != identity.Start {
			return pidfd, stat, false, ErrExited
		}
	}
	alive = true
	return pidfd, stat, statErr == nil, nil
}
