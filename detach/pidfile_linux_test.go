package detach

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParsePIDFile(t *testing.T) {
	long := strings.Repeat(" ", maxPIDFile-5)
	for content, want := range map[string]int{
		"":                                  0,
		" \n":                               0,
		"4711\n":                            4711,
		"  4711\r\n":                        4711,
		long + "4711\n":                     4711,
		strings.Repeat(" ", 60) + "12345\n": 12345,
	} {
		pid, ok := parsePIDFile([]byte(content))
		require.True(t, ok, "%q", content)
		require.Equal(t, want, pid, "%q", content)
	}
	for _, content := range []string{"0", "-1", "+1", "1 2", "1\n2\n", "0x10", "1073741824", "99999999999999999999", "pid", long + "12345\n", "1\x00"} {
		_, ok := parsePIDFile([]byte(content))
		require.False(t, ok, "%q", content)
	}
}

func FuzzParsePIDFile(f *testing.F) {
	f.Add([]byte("4711\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		pid, ok := parsePIDFile(content)
		if again, same := parsePIDFile(fmt.Appendln(nil, pid)); ok && pid != 0 && (!same || again != pid) || pid < 0 {
			t.Errorf("%q", content)
		}
	})
}
