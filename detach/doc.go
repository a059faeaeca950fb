// Package detach starts programs that outlive the program that started them.
//
// It is for managers: a panel, a CI job, a control plane that starts servers
// and is itself restarted, killed or upgraded. A program started here is an
// orphan in a session of its own, without its manager's descriptors, terminal
// and signal state:
//
//	cmd := detach.Command("java", "-jar", "server.jar", "nogui")
//	cmd.Dir = "/srv/mc"
//	cmd.Stdout = "logs/console.log"
//	cmd.PIDFile = "server.pid"
//	daemon, err := cmd.Start(ctx)
//
// It does not run a shell, does not supervise (see Cmd.Restart), does not limit or
// isolate (nice, prlimit, setpriv and bwrap do, as a prefix of the command),
// and cannot make the calling program itself a daemon.
//
// # Guarantees
//
//  1. The daemon keeps running when its manager is killed, when the manager's
//     process group, terminal or session is killed, when its process tree is
//     walked and killed, and when the pipes it held are closed.
//  2. Start returns without an error only when the program has been exec'd and
//     its detachment was seen from outside, in /proc. It returns the PID, and
//     the PID file exists by then. Any failure is an *Error with the step, the
//     path and the errno, and leaves nothing behind: no process, no PID file.
//     (What a program that ends at once has put into the background is not
//     ended, and a log or a FIFO that was created stays.)
//  3. Nothing of the start remains: no helper process, no zombie, no
//     descriptor, no SIGCHLD in the manager.
//  4. No wrong process is signalled: a process is identified by boot, PID and
//     start time, and signalled through a pidfd opened before its identity was
//     checked.
//
// A cgroup that is killed as a whole, which is systemd's default when it stops a
// service, takes double-forked daemons along. With the package
// github.com/detachkit/detach/detach/systemd imported, a daemon that is started
// there is held by systemd as a service of its own, see Via. Cmd.Outlook tells
// what remains.
//
// What it does not protect from is what holds the manager and its daemons
// alike: a CI runner that hunts its job's processes by an environment variable
// (but see WithoutCookies), the end of a container.
//
// # How
//
// A double fork (daemon(7)) without copying memory and without executing the
// manager again: two vforks in the calling process. The calling thread waits
// until the program has been exec'd, as with os/exec. Start is safe to call
// from many goroutines at once.
//
// # Platforms
//
// Linux 5.3 and later on amd64, arm64, 386, arm, riscv64, ppc64le, s390x and
// loong64, with /proc mounted. Elsewhere Start returns an error
// that wraps errors.ErrUnsupported.
package detach
