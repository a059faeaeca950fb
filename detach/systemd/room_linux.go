package systemd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/service"
)

// makeRoom has the socket take a request at once: package dbus writes one that
// has descriptors with it by one sendmsg(2), of which the kernel takes no more
// than has room in the send buffer.
func (c *conn) makeRoom(s *service.Spec) error {
	socket := socketOf(c.calls)
	if s.Supervised || socket == nil { // it has no descriptors
		return nil
	}
	size := sizeOf(s)
	needed, room := size+size/8, 0
	var err error
	controlErr := socket.Control(func(fd uintptr) {
		if room, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF); err != nil || room >= needed {
			return
		}
		// The kernel doubles it. Beyond net.core.wmem_max may only who has
		// CAP_NET_ADMIN.
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, needed/2+1) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, needed/2+1)
		}
		room, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	})
	if err = errors.Join(controlErr, err); err != nil {
		return err
	}
	if room < needed {
		return fmt.Errorf("arguments and environment of %d KiB do not fit into the socket, which takes %d KiB: net.core.wmem_max is too small",
			size>>10, (room-room/8)>>10)
	}
	return nil
}

// sizeOf is about how long the request for a service is, and not less.
func sizeOf(s *service.Spec) int {
	size := 16<<10 + len(s.Path) + len(s.Dir)
	for _, list := range [][]string{s.Args, s.Env, s.Groups} {
		for _, word := range list {
			size += len(word) + 8
		}
	}
	return size
}
