package detach

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// ParseTCP parses [HOST:]PORT, see TCP.
func ParseTCP(s string) (TCP, error) {
	_, err := TCP(s).addresses()
	return TCP(s), err
}

// addresses are what a TCP condition names: those that have to be the
// daemon's where something listens there, and one of which has to be.
func (t TCP) addresses() ([]netip.AddrPort, error) {
	host, number := "localhost", string(t)
	if at := strings.LastIndexByte(number, ':'); at >= 0 {
		host, number = number[:at], number[at+1:]
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 {
		return nil, errors.New("is not a port from 1 to 65535")
	}
	if host == "localhost" {
		return []netip.AddrPort{
			netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)),
			netip.AddrPortFrom(netip.IPv6Loopback(), uint16(port)),
		}, nil
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	if err != nil {
		return nil, errors.New("is neither an IP address nor localhost")
	}
	if addr.Zone() != "" {
		return nil, errors.New("an address with a zone is not supported")
	}
	return []netip.AddrPort{netip.AddrPortFrom(addr.Unmap(), uint16(port))}, nil
}
