package detach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// errNotListening is why a TCP condition does not hold yet.
var errNotListening = errors.New("it does not listen there")

// listens tells whether the daemon is what answers at an address: nil, or the
// reason why not.
func (p *Process) listens(ctx context.Context, t TCP) error {
	addresses, err := t.addresses()
	if err != nil {
		return err
	}
	if !sameNetwork(p.PID) {
		return errors.New("it is in another network namespace, from here it cannot be told")
	}
	listeners, err := proc.Listeners(p.PID, addresses[0].Port())
	if err != nil {
		return err
	}
	owned := errNotListening
	for _, address := range addresses {
		sockets := answering(listeners, address)
		if len(sockets) == 0 {
			continue
		}
		if err := p.ownsAll(sockets); err != nil {
			return err
		}
		if owned = connect(ctx, address); owned == nil {
			break
		}
	}
	if owned != nil {
		return owned
	}
	for _, address := range addresses { // of an old server on the other of two
		if err := p.ownsAll(answering(listeners, address)); err != nil {
			return err
		}
	}
	return nil
}

// sameNetwork tells whether a process is in the network namespace of this one,
// as far as may be known.
func sameNetwork(pid int) bool {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	own, ownErr := os.Readlink("/proc/self/ns/net")
	return err != nil || ownErr != nil || theirs == own
}

// answering returns the sockets that the kernel may give a connection to an
// address: those that are bound to just that one go before those for any.
func answering(listeners []proc.Listener, address netip.AddrPort) []proc.Listener {
	addr := address.Addr()
	hosts := []netip.Addr{addr, netip.IPv6Unspecified()}
	if addr.Is4() {
		hosts = []netip.Addr{addr, netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, host := range hosts {
		found := slices.Clone(listeners)
		found = slices.DeleteFunc(found, func(l proc.Listener) bool { return l.Addr.Addr() != host })
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// ownsAll tells whether each of the sockets is one of the daemon's: of a
// process of its session, or a descendant.
func (p *Process) ownsAll(sockets []proc.Listener) error {
	if len(sockets) == 0 {
		return nil
	}
	list, err := looks.take()
	if err != nil {
		return err
	}
	own := map[uint64]bool{}
	for _, q := range p.family(list) {
		theirs, err := proc.Sockets(q.PID)
		if err != nil {
			continue // it has ended, or is not to be looked at: then it is not known to be ours
		}
		for inode := range theirs {
			own[inode] = true
		}
	}
	for _, s := range sockets {
		if !own[s.Inode] {
			return &strangerError{s}
		}
	}
	return nil
}

// strangerError means that somebody else listens.
type strangerError struct{ proc.Listener }

// Error looks for who it is, which takes a look at everybody.
func (e *strangerError) Error() string {
	return fmt.Sprintf("port %d is held by %s", e.Addr.Port(), holder(e.Inode))
}

func holder(inode uint64) string {
	list, _ := proc.List()
	for _, q := range list {
		if sockets, err := proc.Sockets(q.PID); err == nil && sockets[inode] {
			return describe(q.PID)
		}
	}
	return "another process"
}

// describe names a process for people: "PID 4711 (java)".
func describe(pid int) string {
	who := "PID " + strconv.Itoa(pid)
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		who += " (" + quoteOdd(strings.TrimSuffix(string(comm), "\n")) + ")"
	}
	return who
}

// connectPatience is how long a connection to a socket that listens may take:
// its queue may be full.
const connectPatience = time.Second

// connect makes a connection and closes it at once.
func connect(ctx context.Context, address netip.AddrPort) error {
	family := unix.AF_INET6
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: int(address.Port()), Addr: address.Addr().As16()}
	if address.Addr().Is4() {
		family = unix.AF_INET
		to = &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err = unix.Connect(fd, to); err != unix.EINPROGRESS && err != unix.EINTR {
		return err
	}
	deadline := time.Now().Add(connectPatience)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 20)
		if err != nil && err != unix.EINTR {
			return err
		}
		if n > 0 {
			break
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return unix.ETIMEDOUT
		}
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}
