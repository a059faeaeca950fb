// Package doublefork turns a prepared command into an orphan in a session of
// its own, by two vforks in the calling process. It knows nothing of paths,
// logs or verification: package detach prepares and checks, this package forks.
//
// # The two clones
//
//	caller          clone(VM|VFORK|FILES, exit signal 0)
//	└ intermediate  setsid, clone(VM|VFORK|PIDFD|SIGCHLD), reports, exits
//	  └ daemon      signals, umask, directory, stdio, descriptors, PID file, execve
//
// Both share the caller's memory until the daemon has exec'd, so nothing is
// copied and the time does not grow with the caller's heap. The intermediate
// also shares the caller's descriptor table, so the pidfd of the daemon lands
// in the caller. Its exit signal is 0: the caller gets no SIGCHLD, and a
// wait4(-1) elsewhere in it cannot take the child.
//
// Each clone has its fixed-size record for the report pipe: the daemon writes
// one only when a step fails, the intermediate one with the PID. End of file
// without a PID record is a failure.
//
// # The rules after the fork
//
// What runs in a clone (intermediate_linux.go, daemon_linux.go) may make raw
// system calls and nothing else: no allocation, no lock, no scheduling, no
// write barrier, no stack growth. Hence go:nosplit on every function, all
// variables declared up front, all buffers in the image that was prepared
// before. runtime_BeforeFork poisons the stack guard, so a function with a
// stack check that slips in dies at once, in every run, and a test walks every
// branch.
//
// The reasons for the directives on these functions:
//
//   - go:noinline: the intermediate goes on in the frame in which it was made.
//     The manager may find everything in it overwritten, so it returns from it
//     at once and works in the frame above, as in syscall/exec_linux.go. The
//     daemon-to-be has a stack of its own.
//   - go:nosplit: see above.
//   - go:norace: the race detector's hooks switch stacks and take locks. The
//     wrapper by which assembly calls a Go function has them nevertheless, so
//     the stub does not call by name, see daemonEntry.
//   - go:nocheckptr: its checks may grow the stack.
package doublefork
