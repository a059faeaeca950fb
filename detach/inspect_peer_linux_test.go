package detach

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestPeerOf(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	inode := func(fd int) uint64 {
		var st unix.Stat_t
		require.NoError(t, unix.Fstat(fd, &st))
		return st.Ino
	}
	one, other := inode(pair[0]), inode(pair[1])
	require.Equal(t, other, peerOf(one))
	require.Equal(t, one, peerOf(other))
	require.NoError(t, unix.Close(pair[1]))
	require.Zero(t, peerOf(one), "it has gone")
	require.NoError(t, unix.Close(pair[0]))
	require.Zero(t, peerOf(one))

	tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(tcp)
	require.Zero(t, peerOf(inode(tcp)), "of another kind")
}

// peerAnswer is an answer about inode 7 with these attributes.
func peerAnswer(attributes ...byte) []byte {
	native := binary.NativeEndian
	answer := native.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+unixDiagMessage+len(attributes)))
	answer = native.AppendUint16(answer, unix.SOCK_DIAG_BY_FAMILY)
	answer = append(answer, make([]byte, 10)...)
	answer = append(answer, unix.AF_UNIX, unix.SOCK_STREAM, 1, 0)
	answer = native.AppendUint32(answer, 7)
	answer = append(answer, make([]byte, 8)...)
	return append(answer, attributes...)
}

func attribute(size, kind uint16, value ...byte) []byte {
	native := binary.NativeEndian
	return append(native.AppendUint16(native.AppendUint16(nil, size), kind), value...)
}

func TestParsePeer(t *testing.T) {
	eight := binary.NativeEndian.AppendUint32(nil, 8)
	peer := attribute(8, unixDiagPeer, eight...)
	require.EqualValues(t, 8, parsePeer(peerAnswer(peer...), 7))
	require.EqualValues(t, 8, parsePeer(peerAnswer(append(attribute(5, 0, 1, 0, 0, 0), peer...)...), 7))
	require.Zero(t, parsePeer(peerAnswer(peer...), 9), "about another one")
	refused := [][]byte{
		nil,
		peerAnswer(),
		peerAnswer(attribute(5, 0, 1)...),
		peerAnswer(attribute(0, unixDiagPeer, eight...)...),
		peerAnswer(attribute(9, unixDiagPeer, eight...)...),
		peerAnswer(attribute(6, unixDiagPeer, 8, 0)...),
		peerAnswer(attribute(8, 3, eight...)...),
	}
	for n := range peerAnswer(peer...) {
		refused = append(refused, peerAnswer(peer...)[:n])
	}
	failed := peerAnswer(peer...)
	binary.NativeEndian.PutUint16(failed[4:], unix.NLMSG_ERROR)
	for _, answer := range append(refused, failed) {
		require.Zero(t, parsePeer(answer, 7), "%v", answer)
	}
}

func FuzzParsePeer(f *testing.F) {
	f.Add(peerAnswer(attribute(8, unixDiagPeer, 8, 0, 0, 0)...), uint64(7))
	f.Add(peerAnswer(attribute(5, 0, 1)...), uint64(7))
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, answer []byte, inode uint64) { _ = parsePeer(answer, inode) }) // no panic, and an end
}
