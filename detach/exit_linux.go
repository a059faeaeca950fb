package detach

import (
	"context"
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// signalName is the name that people know: "SIGTERM".
func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return s.String()
}

func exitOf(status syscall.WaitStatus) Exit {
	if status.Signaled() {
		return Exit{Known: true, Signal: status.Signal(), Core: status.CoreDump()}
	}
	return Exit{Known: true, Code: status.ExitStatus()}
}

// reaperPatience is how long to wait until somebody else reaps a daemon: the
// kernel tells how it ended only then. An init may do it once a second.
const reaperPatience = 5 * time.Second

// awaitExit returns how a process that has ended did so. It waits for no longer
// than the context and reaperPatience allow, and only if that is of use.
func awaitExit(ctx context.Context, pidfd int, id Identity) Exit {
	exit := exitNow(pidfd, id)
	if exit.Known || !tellsExit(pidfd) {
		return exit
	}
	deadline := time.Now().Add(reaperPatience)
	for !isReaped(pidfd, 100) && ctx.Err() == nil && time.Now().Before(deadline) {
	}
	return reapedExit(pidfd)
}

// exitNow is awaitExit without waiting. If the process is a child of this one,
// which may be a subreaper or PID 1, it is reaped.
func exitNow(pidfd int, id Identity) Exit {
	exit := zombieExit(id)
	if own := reap(pidfd); own.Known {
		return own
	}
	if !exit.Known {
		exit = reapedExit(pidfd)
	}
	return exit
}

// zombieExit reads how a process ended that has not been reaped. The kernel
// shows 0 to whoever may not know (PTRACE_MODE_READ_FSCREDS in ptrace(2)), which
// the link to the program tells apart: it is refused then, and else missing.
func zombieExit(id Identity) Exit {
	var buf [1]byte
	_, err := unix.Readlink(fmt.Sprintf("/proc/%d/exe", id.PID), buf[:])
	shown := err == unix.ENOENT
	// Read last: it is still there, so it was when the link was read.
	stat, err := proc.ReadStat(id.PID)
	if err != nil || stat.State != 'Z' || stat.Start != id.Start || stat.Exit == 0 && !shown {
		return Exit{}
	}
	return exitOf(syscall.WaitStatus(stat.Exit))
}

// sigchld is the part of siginfo_t that waitid(2) fills in. Errno is 0, and on
// MIPS it is behind the code.
type sigchld struct {
	signo, errno, code int32
	_                  [unsafe.Sizeof(uintptr(0))/4 - 1]int32
	pid, uid, status   int32
}

const (
	cldExited = 1 // CLD_EXITED
	cldKilled = 2 // CLD_KILLED
	cldDumped = 3 // CLD_DUMPED
)

// reap reaps a process that has ended, if it is a child.
func reap(pidfd int) Exit {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PIDFD, pidfd, &info, unix.WEXITED|unix.WNOHANG|unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Exit{}
		}
		break
	}
	child := (*sigchld)(unsafe.Pointer(&info))
	switch child.code | child.errno {
	case cldExited:
		return Exit{Known: true, Code: int(child.status) & 0xff}
	case cldKilled:
		return Exit{Known: true, Signal: syscall.Signal(child.status)}
	case cldDumped:
		return Exit{Known: true, Signal: syscall.Signal(child.status), Core: true}
	}
	return Exit{} // somebody else has reaped it
}

// tellsExit tells whether the kernel knows PIDFD_GET_INFO (Linux 6.13).
func tellsExit(pidfd int) bool {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	err := unix.IoctlPidfdInfo(pidfd, &info)
	return err == nil || err == unix.ESRCH
}

// reapedExit asks for the status that the kernel keeps for the holders of a
// pidfd once a process has been reaped (Linux 6.15).
func reapedExit(pidfd int) Exit {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if unix.IoctlPidfdInfo(pidfd, &info) != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return Exit{}
	}
	return exitOf(syscall.WaitStatus(info.Exit_code))
}

// isReaped waits until a process has been reaped.
func isReaped(pidfd, milliseconds int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd)}} // POLLHUP is always asked for
	n, err := unix.Poll(fds, milliseconds)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLHUP != 0
}

// reapEnded reaps a daemon of which nobody wants to know how it ended.
func reapEnded(pidfd int) { _ = reap(pidfd) }
