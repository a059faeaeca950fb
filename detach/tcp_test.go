package detach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseTCP(t *testing.T) {
	for s, want := range map[string][]string{
		"25565":                    {"127.0.0.1:25565", "[::1]:25565"},
		"localhost:1":              {"127.0.0.1:1", "[::1]:1"},
		"127.0.0.2:65535":          {"127.0.0.2:65535"},
		"::1:80":                   {"[::1]:80"},
		"[::1]:80":                 {"[::1]:80"},
		"[::ffff:127.0.0.1]:25565": {"127.0.0.1:25565"},
	} {
		tcp, err := ParseTCP(s)
		require.NoError(t, err, s)
		require.Equal(t, "tcp="+s, tcp.String())
		addresses, err := tcp.addresses()
		require.NoError(t, err)
		var got []string
		for _, a := range addresses {
			got = append(got, a.String())
		}
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"", "0", "65536", "-1", "http", "a:80", "127.0.0.1:", "127.0.0.1:x", "[fe80::1%eth0]:80", ":80"} {
		_, err := ParseTCP(s)
		require.Error(t, err, s)
	}
}

func FuzzParseTCP(f *testing.F) {
	f.Add("25565")
	f.Add("[::1]:80")
	f.Add("]:[:1")
	f.Fuzz(func(t *testing.T, s string) {
		if tcp, err := ParseTCP(s); err == nil {
			addresses, err := tcp.addresses()
			require.NoError(t, err)
			require.NotEmpty(t, addresses)
		}
	})
}
