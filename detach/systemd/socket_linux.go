package systemd

import (
	"net"
	"reflect"
	"syscall"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// socketOf returns the socket of a connection, which package dbus keeps to
// itself; nil if there is none.
func socketOf(bus *dbus.Conn) syscall.RawConn {
	transport := reflect.ValueOf(bus).Elem().FieldByName("transport")
	if transport.Kind() != reflect.Interface || transport.Elem().Kind() != reflect.Pointer || transport.Elem().Elem().Kind() != reflect.Struct {
		return nil
	}
	field := transport.Elem().Elem().FieldByName("UnixConn")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*net.UnixConn]() || field.IsNil() {
		return nil
	}
	conn, err := (*net.UnixConn)(field.UnsafePointer()).SyscallConn()
	if err != nil {
		return nil
	}
	return conn
}

// peerOf returns the PID, here, of who has made the socket at the other end: 0
// if that is in a PID namespace which is not seen from here, -1 if it cannot be
// told.
func peerOf(bus *dbus.Conn) int {
	pid := -1
	if socket := socketOf(bus); socket != nil {
		_ = socket.Control(func(fd uintptr) {
			if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				pid = int(peer.Pid)
			}
		})
	}
	return pid
}
