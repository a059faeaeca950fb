//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// carelessWord, as the first argument, makes this program the careless side of
// a manager: it takes on some faults and becomes another program, which finds
// them as a manager would have left them.
const carelessWord = "__careless"

// The faults: what no launcher should pass on to the program.
const (
	faultDescriptors = "descriptors" // open and not close-on-exec
	faultListener    = "listener"    // a listening socket, likewise
	faultSignals     = "signals"     // ignored and blocked
	faultOpenFiles   = "open-files"  // a soft limit that the Go runtime would raise
	// faultLog makes a regular file, opened as the shell does for >>, the
	// standard output and standard error.
	faultLog = "log"
	// faultSubreaper makes the process adopt orphans. It is no fault, only set
	// in the same way.
	faultSubreaper = "subreaper"
)

var faults = map[string]func(dir string) error{
	faultDescriptors: openDescriptors,
	faultListener:    openListener,
	faultSignals:     func(string) error { return ignoreAndBlock(programSignals) },
	faultOpenFiles:   lowerOpenFiles,
	faultLog:         openLog,
	faultSubreaper:   func(string) error { return becomeSubreaper() },
}

// The files of a nest that faults make.
const (
	addressFile = "address" // where the listener listens
	logFile     = "log"
)

// careless returns the words that start command with faults, which leave their
// files in dir.
func careless(dir string, faults, command []string) ([]string, error) {
	self, err := os.Executable()
	return slices.Concat([]string{self, carelessWord, dir}, faults, []string{endOfFaults}, command), err
}

// endOfFaults stands between the faults and the command.
const endOfFaults = "--"

// beCareless takes on the faults and becomes the command. Its arguments are
// those of careless.
func beCareless(args []string) error {
	end := slices.Index(args, endOfFaults)
	if end < 1 || end+1 == len(args) {
		return errors.New("carelessness takes a folder, faults and a command")
	}
	dir, command := args[0], args[end+1:]
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // the thread that execs gives its signal mask
	for _, fault := range args[1:end] {
		take, ok := faults[fault]
		if !ok {
			return fmt.Errorf("unknown fault %q", fault)
		}
		if err := take(dir); err != nil {
			return fmt.Errorf("take on %s: %w", fault, err)
		}
	}
	return &os.PathError{Op: "exec", Path: path, Err: syscall.Exec(path, command, os.Environ())}
}

// leakedDescriptors are the numbers that faultDescriptors opens: the first one
// there is, one that shells use themselves, and one that loops over the usual
// few do not come to.
var leakedDescriptors = []int{3, 10, 200}

func openDescriptors(string) error {
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for _, number := range leakedDescriptors {
		if number == fd {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		} else {
			err = unix.Dup3(fd, number, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func openListener(dir string) error {
	fd, err := listen(&unix.SockaddrInet4{Addr: loopback})
	if err != nil {
		return err
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	port := address.(*unix.SockaddrInet4).Port
	if err := os.WriteFile(filepath.Join(dir, addressFile), fmt.Appendln(nil, port), 0o600); err != nil {
		return err
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	return err
}

var loopback = [4]byte{127, 0, 0, 1}

// listen returns a socket that listens at the address, as servers open it. It
// is close-on-exec.
func listen(at *unix.SockaddrInet4) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, at))
	}
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, 1))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// loweredOpenFiles is the soft limit that faultOpenFiles sets. It is below what
// any machine starts with.
const loweredOpenFiles = 512

func lowerOpenFiles(string) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = loweredOpenFiles
	return syscall.Setrlimit(unix.RLIMIT_NOFILE, &limit) // of package syscall: its Exec then leaves it
}

func openLog(dir string) error {
	fd, err := unix.Open(filepath.Join(dir, logFile), unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unix.Dup3(fd, 1, 0), unix.Dup3(fd, 2, 0))
}

func becomeSubreaper() error {
	return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}
