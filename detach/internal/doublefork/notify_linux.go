package doublefork

import "golang.org/x/sys/unix"

// clearNotify moves the descriptors that the daemon-to-be still needs when it
// makes the number for its notification descriptor out of that number's way,
// and the source of that descriptor too, for it would stay close-on-exec. What
// it returns is to be closed after the fork.
func (m *image) clearNotify() (moved []int, err error) {
	if m.notifyAs == 0 {
		return nil, nil
	}
	for _, fd := range []*int{&m.report, &m.pidDir, &m.pidFD, &m.notify, &m.cgroups[0], &m.cgroups[1]} {
		if *fd != m.notifyAs {
			continue
		}
		if *fd, err = unix.FcntlInt(uintptr(m.notifyAs), unix.F_DUPFD_CLOEXEC, m.notifyAs+1); err != nil {
			return moved, &Error{DupNotify, err.(unix.Errno)}
		}
		moved = append(moved, *fd)
	}
	return moved, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
