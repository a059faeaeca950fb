package detach

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// stdio is what will be the descriptors 0, 1 and 2, open and above 2.
type stdio struct {
	fds     [3]int
	opened  []int // what close closes
	hazards []Hazard
}

func (s *stdio) close() {
	for _, fd := range s.opened {
		unix.Close(fd)
	}
}

// keep notes an open descriptor for close.
func (s *stdio) keep(fd int, err error) (int, error) {
	if err == nil {
		s.opened = append(s.opened, fd)
	}
	return fd, err
}

// openStdio opens them for the caller, or for another user.
func openStdio(c *Cmd, user *account) (s *stdio, err error) {
	s = &stdio{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	null, err := s.keep(openAbove2("/dev/null", unix.O_RDWR, 0))
	if err != nil {
		return s, &Error{Op: "open", Path: "/dev/null", Err: err}
	}
	if s.fds[0], err = s.input(c, user, null); err != nil {
		return s, err
	}
	if c.Stdout == "" && c.Stderr == "" {
		return s, s.inherit(null)
	}
	return s, s.logs(c, user)
}

// oneInput refuses two.
func (c *Cmd) oneInput() error {
	if c.Console != "" && c.Stdin != "" {
		return &Error{Op: "console", Path: c.Console, Err: fmt.Errorf("excludes a standard input file: %w", unix.EINVAL)}
	}
	return nil
}

func (s *stdio) input(c *Cmd, user *account, null int) (int, error) {
	if err := c.oneInput(); err != nil {
		return -1, err
	}
	switch {
	case c.Console != "" && user != nil:
		return s.keep(user.openConsole(c.resolve(c.Console)))
	case c.Console != "":
		return s.keep(openConsole(c.resolve(c.Console)))
	case c.Stdin != "" && user != nil:
		return s.keep(user.openInput(c.resolve(c.Stdin)))
	case c.Stdin != "":
		return s.keep(openFile(c.resolve(c.Stdin), unix.O_RDONLY, 0))
	}
	return null, nil
}

func (s *stdio) logs(c *Cmd, user *account) error {
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT
	open := openFile
	if user != nil {
		open = user.openLog
	}
	for i, path := range []string{c.Stdout, c.Stderr} {
		if path == "" {
			continue
		}
		fd, err := s.keep(open(c.resolve(path), flags, 0o640))
		if err != nil {
			return err
		}
		s.fds[1+i] = fd
	}
	switch {
	case s.fds[1] == 0, s.fds[2] != 0 && sameFile(s.fds[1], s.fds[2]):
		s.fds[1] = s.fds[2]
	case s.fds[2] == 0:
		s.fds[2] = s.fds[1]
	}
	return nil
}

// inherit keeps the caller's standard output and error where they outlive the
// caller and can be written.
func (s *stdio) inherit(null int) error {
	var lost []string
	for i, name := range []string{"standard output", "standard error"} {
		fd := 1 + i
		switch kindOf(fd) {
		case terminal:
			lost = append(lost, name)
		case regular, nullDevice:
			if !writable(fd) {
				break
			}
			dup, err := s.keep(unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3))
			if err != nil {
				return &Error{Op: "dup", Path: name, Err: err}
			}
			s.fds[fd] = dup
			continue
		}
		s.fds[fd] = null
	}
	if len(lost) > 0 {
		s.hazards = append(s.hazards, Hazard{
			Code: HazardOutputLost,
			Text: strings.Join(lost, " and ") + ": a terminal does not outlive its session, /dev/null takes its place; name a log file to keep the output",
		})
	}
	return nil
}
