package detach

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// From include/uapi/linux/unix_diag.h, see sock_diag(7).
const (
	unixDiagRequest  = 24 // struct unix_diag_req, bytes
	unixDiagMessage  = 16 // struct unix_diag_msg, bytes
	unixDiagShowPeer = 0x4
	unixDiagPeer     = 2 // the attribute with an inode
)

// peerOf returns the inode of the socket that a local socket is connected with,
// or 0 if there is none, or it cannot be told: it is of another kind, or of
// another network namespace.
func peerOf(inode uint64) uint64 {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	request := make([]byte, 0, unix.SizeofNlMsghdr+unixDiagRequest)
	native := binary.NativeEndian
	request = native.AppendUint32(request, unix.SizeofNlMsghdr+unixDiagRequest)
	request = native.AppendUint16(request, unix.SOCK_DIAG_BY_FAMILY)
	request = native.AppendUint16(request, unix.NLM_F_REQUEST)
	request = append(request, make([]byte, 8)...) // sequence and port: there is one answer
	request = append(request, unix.AF_UNIX, 0, 0, 0)
	request = native.AppendUint32(request, ^uint32(0)) // in whatever state
	request = native.AppendUint32(request, uint32(inode))
	request = native.AppendUint32(request, unixDiagShowPeer)
	request = native.AppendUint64(request, ^uint64(0)) // whatever cookie
	if unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return 0
	}
	// The kernel has answered when the request has been sent.
	answer := make([]byte, 4<<10)
	n, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT)
	if err != nil {
		return 0
	}
	return parsePeer(answer[:n], inode)
}

// parsePeer parses the answer about the socket of an inode: a netlink message
// (netlink(7)) with a struct unix_diag_msg and its attributes (rtnetlink(3)).
func parsePeer(answer []byte, inode uint64) uint64 {
	native := binary.NativeEndian
	if len(answer) < unix.SizeofNlMsghdr+unixDiagMessage || native.Uint16(answer[4:]) != unix.SOCK_DIAG_BY_FAMILY {
		return 0
	}
	length := int64(native.Uint32(answer))
	if length < unix.SizeofNlMsghdr+unixDiagMessage || length > int64(len(answer)) {
		return 0
	}
	message := answer[unix.SizeofNlMsghdr:length]
	if uint64(native.Uint32(message[4:])) != inode {
		return 0
	}
	for attributes := message[unixDiagMessage:]; len(attributes) >= unix.SizeofNlAttr; {
		size := int(native.Uint16(attributes))
		if size < unix.SizeofNlAttr || size > len(attributes) {
			return 0
		}
		if native.Uint16(attributes[2:]) == unixDiagPeer && size >= unix.SizeofNlAttr+4 {
			return uint64(native.Uint32(attributes[unix.SizeofNlAttr:]))
		}
		attributes = attributes[min((size+3)&^3, len(attributes)):]
	}
	return 0
}
