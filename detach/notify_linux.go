package detach

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
)

// notifySocket is what NOTIFY_SOCKET names to a daemon, see sd_notify(3). Its
// address is an abstract one, so there is no file to be left behind, and the
// kernel's choice.
type notifySocket struct {
	fd   int
	name string
}

func newNotifySocket() (*notifySocket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &notifySocket{fd: fd}
	if s.fd, err = doublefork.Above2(fd); err != nil {
		s.close()
		return nil, err
	}
	if err = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err == nil {
		err = unix.Bind(s.fd, &unix.SockaddrUnix{}) // autobind, unix(7)
	}
	var address unix.Sockaddr
	if err == nil {
		address, err = unix.Getsockname(s.fd)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	s.name = address.(*unix.SockaddrUnix).Name // "@" and five digits
	return s, nil
}

func (s *notifySocket) close() { unix.Close(s.fd) }

// notification is one message.
type notification struct {
	ready  bool
	status string
	errno  unix.Errno
	extend time.Duration // EXTEND_TIMEOUT_USEC
}

// parseNotification parses the assignments of a message; what is not
// understood is left out, as the protocol wants.
func parseNotification(data []byte) (n notification) {
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		key, value, _ := bytes.Cut(line, []byte("="))
		switch string(key) {
		case "READY":
			n.ready = n.ready || string(value) == "1"
		case "STATUS":
			n.status = string(value)
		case "ERRNO":
			if errno, err := strconv.ParseUint(string(value), 10, 12); err == nil {
				n.errno = unix.Errno(errno)
			}
		case "EXTEND_TIMEOUT_USEC":
			const longest = 365 * 24 * time.Hour
			if usec, err := strconv.ParseUint(string(value), 10, 63); err == nil {
				n.extend = time.Duration(min(usec, uint64(longest/time.Microsecond))) * time.Microsecond
			}
		}
	}
	return n
}

// receive returns the next message that is waiting; ok is false if there is
// none. It is empty, and says so in stranger, if it is not from the daemon.
//
// Descriptors that come with it are closed once it has been looked at: that is
// what a sender of BARRIER=1 waits for (sd_notify_barrier(3)), and so its
// process was there to be looked at.
func (s *notifySocket) receive(p *Process) (n notification, stranger string, ok bool) {
	buf := make([]byte, 64<<10)
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(253*4)) // SCM_MAX_FD
	size, controlSize, _, _, err := unix.Recvmsg(s.fd, buf, control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return n, "", err == unix.EINTR
	}
	messages, _ := unix.ParseSocketControlMessage(control[:controlSize])
	sender := 0
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			defer func() {
				for _, fd := range fds {
					unix.Close(fd)
				}
			}()
		}
		if credentials, err := unix.ParseUnixCredentials(&m); err == nil {
			sender = int(credentials.Pid)
		}
	}
	if !p.hasMember(sender) {
		return n, fmt.Sprintf("a message came from PID %d, which is not of its session", sender), true
	}
	return parseNotification(buf[:size]), "", true
}

// hasMember tells whether a process is of the daemon's session or descends from
// it.
func (p *Process) hasMember(pid int) bool {
	list, err := looks.take()
	if err != nil {
		return false
	}
	for _, q := range p.relatives(list) { // one that has ended may have sent it before
		if q.PID == pid {
			return true
		}
	}
	return false
}
