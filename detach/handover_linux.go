package detach

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
)

// A log or a console of a daemon that is another user's is opened by root in a
// folder that may be that user's, who may put a symbolic link there and have
// root write, or give away, a file of somebody else. So what is made new is
// handed over, and not through the link of a user; and what is there already
// has to be his.

var errLinked = errors.New("a symbolic link leads to a folder that is not the user's")

// openFolder opens the folder of a file that is to be the user's.
func (a *account) openFolder(path string) (dir int, name string, err error) {
	folder, name := filepath.Split(path)
	if folder == "" {
		folder = "."
	}
	if dir, err = openAbove2(folder, unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
		return -1, name, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(dir, &st); err == nil && st.Uid != a.UID {
		var real, want string
		if real, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", dir)); err == nil {
			if want, err = literal(folder); err == nil && real != want {
				err = errLinked
			}
		}
	}
	if err != nil {
		unix.Close(dir)
	}
	return dir, name, err
}

// literal is a path as it is without symbolic links, the working directory
// apart, which is not in question.
func literal(folder string) (string, error) {
	if filepath.IsAbs(folder) {
		return filepath.Clean(folder), nil
	}
	cwd, err := os.Readlink("/proc/self/cwd")
	return filepath.Join(cwd, folder), err
}

// openLog opens a log of the user's, as openFile does for the caller's own.
func (a *account) openLog(path string, flags int, mode uint32) (int, error) {
	fd, err := a.open(path, func(dir int, name string) (int, error) {
		fd, err := unix.Openat(dir, name, flags|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err == unix.EEXIST {
			return unix.Openat(dir, name, flags&^unix.O_CREAT|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		}
		if err == nil {
			err = unix.Fchown(fd, int(a.UID), int(a.GID))
		}
		return fd, err
	})
	if errors.Is(err, unix.ENXIO) {
		err = fmt.Errorf("%w: %w", ErrNotLog, err)
	}
	if err == nil {
		switch k := kindOf(fd); {
		case k == directory:
			err = unix.EISDIR
		case k == terminal, k == fleeting:
			err = ErrNotLog
		case k == regular && !a.owns(fd):
			err = ErrNotTheirs
		default:
			err = unix.SetNonblock(fd, false)
		}
		if err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// openInput opens a file that the user may read, too.
func (a *account) openInput(path string) (int, error) {
	fd, err := openFile(path, unix.O_RDONLY, 0)
	if err != nil {
		return fd, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && !a.mayRead(&st) {
		err = unix.EACCES
	}
	if err != nil {
		unix.Close(fd)
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func (a *account) mayRead(st *unix.Stat_t) bool {
	switch {
	case a.UID == 0:
		return true
	case st.Uid == a.UID:
		return st.Mode&unix.S_IRUSR != 0
	case st.Gid == a.GID || slices.Contains(a.Groups, st.Gid):
		return st.Mode&unix.S_IRGRP != 0
	}
	return st.Mode&unix.S_IROTH != 0
}

// openConsole is the function of that name for a FIFO of the user's.
func (a *account) openConsole(path string) (int, error) {
	fd, err := a.open(path, func(dir int, name string) (int, error) {
		made := unix.Mkfifoat(dir, name, 0o600)
		if made != nil && made != unix.EEXIST {
			return -1, made
		}
		var st unix.Stat_t
		if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
			return -1, ErrNotFIFO
		}
		fd, err := unix.Openat(dir, name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fd, err
		}
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
			err = ErrNotFIFO
		}
		if err == nil && made == nil && st.Uid == uint32(unix.Geteuid()) && st.Nlink == 1 {
			err = unix.Fchown(fd, int(a.UID), int(a.GID))
		}
		if err == nil && !a.owns(fd) {
			err = ErrNotTheirs
		}
		if err == nil {
			err = unix.SetNonblock(fd, false)
		}
		return fd, err
	})
	if err != nil {
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// open opens within the folder of a path, above 2.
func (a *account) open(path string, open func(dir int, name string) (int, error)) (int, error) {
	dir, name, err := a.openFolder(path)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	fd, err := open(dir, name)
	if err == nil {
		fd, err = doublefork.Above2(fd)
	}
	if err != nil && fd >= 0 {
		unix.Close(fd)
	}
	return fd, err
}

func (a *account) owns(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Uid == a.UID
}
