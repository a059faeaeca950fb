package proc

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Listener is a TCP socket that listens.
type Listener struct {
	Addr  netip.AddrPort
	Inode uint64 // of the socket, as in the links of /proc/PID/fd
}

// Listeners returns the TCP sockets that listen on a port in the network
// namespace of a process, from /proc/PID/net/tcp and tcp6 (proc_pid_net(5)).
func Listeners(pid int, port uint16) ([]Listener, error) {
	var found []Listener
	for _, name := range []string{"tcp", "tcp6"} {
		file, err := os.Open("/proc/" + strconv.Itoa(pid) + "/net/" + name)
		if errors.Is(err, unix.ENOENT) {
			continue // a kernel without IPv6, or no such process
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if l, ok := ParseListener(lines.Text()); ok && l.Addr.Port() == port {
				found = append(found, l)
			}
		}
		file.Close()
		if err := lines.Err(); err != nil && !errors.Is(err, unix.ESRCH) {
			return nil, err
		}
	}
	return found, nil
}

// ParseListener parses a line of /proc/PID/net/tcp or tcp6; ok is false of
// whatever is not a socket that listens.
func ParseListener(line string) (l Listener, ok bool) {
	const localAddress, state, inode = 1, 3, 9 // fields
	const listen = "0A"                        // TCP_LISTEN in net/tcp_states.h
	fields := strings.Fields(line)
	if len(fields) <= inode || fields[state] != listen {
		return l, false
	}
	host, port, found := strings.Cut(fields[localAddress], ":")
	words, err := hex.DecodeString(host)
	if err != nil || !found {
		return l, false
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return l, false
	}
	if l.Inode, err = strconv.ParseUint(fields[inode], 10, 64); err != nil {
		return l, false
	}
	// Words in network order, each printed as a number of this machine.
	for at := 0; at+4 <= len(words); at += 4 {
		binary.NativeEndian.PutUint32(words[at:], binary.BigEndian.Uint32(words[at:]))
	}
	addr, ok := netip.AddrFromSlice(words)
	l.Addr = netip.AddrPortFrom(addr.Unmap(), uint16(number))
	return l, ok
}

// Sockets returns the inodes of the sockets that a process has open.
func Sockets(pid int) (map[uint64]bool, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/fd"
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	sockets := map[uint64]bool{}
	for _, name := range names {
		link, err := os.Readlink(path + "/" + name)
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := ParseSocketLink(link); ok {
			sockets[inode] = true
		}
	}
	return sockets, nil
}

// ParseSocketLink parses the target of a link in /proc/PID/fd: "socket:[4711]".
func ParseSocketLink(link string) (inode uint64, ok bool) {
	digits, ok := strings.CutPrefix(link, "socket:[")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, "]")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(digits, 10, 64)
	return inode, err == nil
}
