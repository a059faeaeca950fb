// Hostile executes a command in a state that no launcher should pass on:
//
//	hostile [flags] COMMAND [ARG...]
//
// All of it survives execve(2), so the command finds it as a careless manager
// would have left it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var (
	ignoreAll   = flag.Bool("ignore-all", false, "ignore all signals")
	ignoreCHLD  = flag.Bool("ignore-chld", false, "ignore SIGCHLD")
	blockAll    = flag.Bool("block-all", false, "block all signals")
	closeStdio  = flag.String("close", "", "close these of 0, 1 and 2, with spaces between")
	descriptors = flag.Int("fds", 0, "open this many descriptors that are not close-on-exec")
	highest     = flag.Int("high-fd", 0, "open a descriptor of this number, above -nofile")
	nofile      = flag.String("nofile", "", "RLIMIT_NOFILE, as SOFT or SOFT:HARD")
	umask       = flag.String("umask", "", "file mode creation mask, octal")
	removedDir  = flag.Bool("removed-dir", false, "run in a directory that has been removed")
	subreaper   = flag.Bool("subreaper", false, "be a subreaper")
	pdeathsig   = flag.Int("pdeathsig", 0, "parent-death signal")
)

func main() {
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(125)
	}
}

func run(command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the thread that execs gives its signal mask
	if err := prepare(); err != nil {
		return err
	}
	if err := signals(); err != nil {
		return err
	}
	for word := range strings.FieldsSeq(*closeStdio) {
		fd, err := strconv.Atoi(word)
		if err == nil {
			err = unix.Close(fd)
		}
		if err != nil {
			return err
		}
	}
	return syscall.Exec(path, command, os.Environ())
}

func prepare() error {
	if *umask != "" {
		mask, err := strconv.ParseUint(*umask, 8, 32)
		if err != nil {
			return err
		}
		unix.Umask(int(mask))
	}
	if *removedDir {
		dir, err := os.MkdirTemp("", "hostile-")
		if err == nil {
			err = os.Chdir(dir)
		}
		if err == nil {
			err = os.Remove(dir)
		}
		if err != nil {
			return err
		}
	}
	if *subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	if *pdeathsig != 0 {
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(*pdeathsig), 0, 0, 0); err != nil {
			return err
		}
	}
	return openMany()
}

func openMany() error {
	for range *descriptors {
		if _, err := unix.Open("/dev/zero", unix.O_RDONLY, 0); err != nil {
			return err
		}
	}
	if *highest != 0 {
		fd, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Dup3(fd, *highest, 0)
		}
		if err != nil {
			return err
		}
	}
	if *nofile == "" {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	soft, hard, both := strings.Cut(*nofile, ":")
	var err error
	if limit.Cur, err = strconv.ParseUint(soft, 10, 64); err != nil {
		return err
	}
	if both {
		if limit.Max, err = strconv.ParseUint(hard, 10, 64); err != nil {
			return err
		}
	}
	return syscall.Setrlimit(unix.RLIMIT_NOFILE, &limit) // of package syscall: its Exec then leaves it
}

// signals comes last, by raw system calls: package os/signal keeps the signals
// that the runtime needs, and cannot block any.
func signals() error {
	const setSize, ignore = 8, 1 // bytes in the kernel's sigset_t; SIG_IGN
	action := [8]uintptr{ignore}
	for number := uintptr(1); number <= 64; number++ {
		if number == uintptr(unix.SIGKILL) || number == uintptr(unix.SIGSTOP) {
			continue
		}
		if !*ignoreAll && !(*ignoreCHLD && number == uintptr(unix.SIGCHLD)) {
			continue
		}
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, number, uintptr(unsafe.Pointer(&action)), 0, setSize, 0, 0)
		if errno != 0 {
			return fmt.Errorf("sigaction %d: %w", number, errno)
		}
	}
	if !*blockAll {
		return nil
	}
	all := ^uint64(0)
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), 0, setSize, 0, 0)
	if errno != 0 {
		return fmt.Errorf("sigprocmask: %w", errno)
	}
	return nil
}
