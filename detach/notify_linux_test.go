package detach

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/lab"
)

// What sends a message and ends is of the daemon while it is a zombie.
func TestZombieIsAMember(t *testing.T) {
	cmd := Command("sh", "-c", "sleep 0 & exec sleep 1000")
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer p.Close()
	defer func() { require.NoError(t, p.Kill(t.Context())) }()
	var zombie int
	lab.Until(t, "a zombie", func() bool {
		list, err := proc.List()
		require.NoError(t, err)
		for _, q := range list {
			if q.Parent == p.PID && q.State == 'Z' {
				zombie = q.PID
			}
		}
		return zombie > 0
	})
	require.True(t, p.hasMember(zombie))
	require.False(t, p.hasMember(1))
	list, err := proc.List()
	require.NoError(t, err)
	require.Len(t, p.members(list), 1)
}

func TestParseNotification(t *testing.T) {
	for message, want := range map[string]notification{
		"READY=1":                               {ready: true},
		"READY=1\n":                             {ready: true},
		"STATUS=a=b\nREADY=1\nX_OTHER=1":        {ready: true, status: "a=b"},
		"READY=0":                               {},
		"READY":                                 {},
		"XREADY=1":                              {},
		"ERRNO=2":                               {errno: unix.ENOENT},
		"ERRNO=-2":                              {},
		"ERRNO=99999":                           {},
		"EXTEND_TIMEOUT_USEC=1000000":           {extend: time.Second},
		"EXTEND_TIMEOUT_USEC=-1":                {},
		"EXTEND_TIMEOUT_USEC=1s":                {},
		"EXTEND_TIMEOUT_USEC=99999999999999999": {extend: 365 * 24 * time.Hour},
		"":                                      {},
	} {
		require.Equal(t, want, parseNotification([]byte(message)), "%q", message)
	}
}

func FuzzParseNotification(f *testing.F) {
	f.Add([]byte("READY=1\nSTATUS=up"))
	f.Add([]byte("EXTEND_TIMEOUT_USEC=18446744073709551615\nERRNO=1"))
	f.Add([]byte("=\n=\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := parseNotification(data); n.extend < 0 {
			t.Errorf("%q: %v", data, n.extend)
		}
	})
}

func FuzzParseIdentity(f *testing.F) {
	f.Add("4711@123.0d2b71a4")
	f.Add("1@1")
	f.Add("+1@1.")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseIdentity(s)
		if err != nil {
			return
		}
		again, err := ParseIdentity(id.String())
		require.NoError(t, err)
		require.Equal(t, id.PID, again.PID)
		require.Equal(t, id.Start, again.Start)
	})
}
