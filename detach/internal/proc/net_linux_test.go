package proc

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The kernel is the oracle, so this holds for every byte order.
func TestListeners(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		t.Run(address, func(t *testing.T) {
			listener, err := net.Listen("tcp", address)
			require.NoError(t, err)
			defer listener.Close()
			want := netip.MustParseAddrPort(listener.Addr().String())
			found, err := Listeners(os.Getpid(), want.Port())
			require.NoError(t, err)
			require.Len(t, found, 1)
			require.Equal(t, want, found[0].Addr)
			sockets, err := Sockets(os.Getpid())
			require.NoError(t, err)
			require.True(t, sockets[found[0].Inode])

			// A connection to it is none that listens.
			conn, err := net.Dial("tcp", listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			again, err := Listeners(os.Getpid(), want.Port())
			require.NoError(t, err)
			require.Equal(t, found, again)
		})
	}
}

func TestParseListenerRefuses(t *testing.T) {
	const good = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x"
	_, ok := ParseListener(good)
	require.True(t, ok)
	for _, line := range []string{
		"", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
		"0: 0100007F:1F90 00000000:0000 01 0:0 0:0 0 0 0 4711",
		"0: 0100007F 00000000:0000 0A 0:0 0:0 0 0 0 4711",
		"0: 0100007:1F90 00000000:0000 0A 0:0 0:0 0 0 0 4711",
		"0: 01007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 4711",
		"0: :1F90 00000000:0000 0A 0:0 0:0 0 0 0 4711",
		"0: 0100007F:11F90 00000000:0000 0A 0:0 0:0 0 0 0 4711",
		"0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 -1",
		"0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0",
	} {
		_, ok := ParseListener(line)
		require.False(t, ok, line)
	}
}

func FuzzParseListener(f *testing.F) {
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x")
	f.Add("   0: 00000000000000000000000001000000:1F90 0:0 0A 0:0 0:0 0 0 0 4711")
	f.Add("0: 01:1 0:0 0A 0:0 0:0 0 0 0 1")
	f.Fuzz(func(t *testing.T, line string) {
		if l, ok := ParseListener(line); ok && !l.Addr.IsValid() {
			t.Errorf("%q: %v", line, l)
		}
	})
}

func FuzzParseSocketLink(f *testing.F) {
	f.Add("socket:[4711]")
	f.Add("socket:[]")
	f.Add("/socket:[1]")
	f.Fuzz(func(t *testing.T, link string) {
		_, _ = ParseSocketLink(link) // no panic
	})
}
