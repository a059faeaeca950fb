package detach

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
)

// kind is what a descriptor leads to.
type kind int

const (
	fleeting kind = iota // a pipe, a socket, nothing: gone with its other end
	terminal
	directory
	regular
	nullDevice
	otherDevice
)

func kindOf(fd int) kind {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return fleeting
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return regular
	case unix.S_IFDIR:
		return directory
	case unix.S_IFCHR:
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			return terminal
		}
		if uint64(st.Rdev) == unix.Mkdev(1, 3) { // null(4)
			return nullDevice
		}
		return otherDevice
	}
	return fleeting
}

func writable(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY && flags&unix.O_PATH == 0
}

func sameFile(a, b int) bool {
	var sa, sb unix.Stat_t
	return unix.Fstat(a, &sa) == nil && unix.Fstat(b, &sb) == nil && sa.Dev == sb.Dev && sa.Ino == sb.Ino
}

// openAbove2 opens a file close-on-exec and with a number above 2. Opening
// waits for nothing: a FIFO without another end is an error or open at once.
func openAbove2(path string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, mode)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, err
		}
		moved, err := doublefork.Above2(fd)
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		return moved, nil
	}
}

// openFile opens a log or an input file: a regular file or a device.
func openFile(path string, flags int, mode uint32) (int, error) {
	fd, err := openAbove2(path, flags, mode)
	if err == unix.ENXIO { // a FIFO that nobody reads, or a socket
		return -1, &Error{Op: "open", Path: path, Err: fmt.Errorf("%w: %w", ErrNotLog, err)}
	}
	if err != nil {
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	switch kindOf(fd) {
	case directory:
		err = unix.EISDIR
	case terminal, fleeting:
		err = ErrNotLog
	default:
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		unix.Close(fd)
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// openConsole opens a FIFO for reading and writing, so that it never reports
// end of file, and makes it if there is none.
func openConsole(path string) (int, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if err == unix.ENOENT {
		if err := unix.Mkfifo(path, 0o600); err != nil && err != unix.EEXIST {
			return -1, &Error{Op: "create FIFO", Path: path, Err: err}
		}
		err = unix.Stat(path, &st)
	}
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = ErrNotFIFO
	}
	if err != nil {
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	fd, err := openAbove2(path, unix.O_RDWR, 0)
	if err != nil {
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	// Look again: it may be another file by now.
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = ErrNotFIFO
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		unix.Close(fd)
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
