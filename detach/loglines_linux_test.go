package detach

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A line is taken whole or, if it is too long, by its beginning: no piece of
// one passes for a line. However it comes in.
func TestLogLinesAreWhole(t *testing.T) {
	long := strings.Repeat("x", longestLine)
	text := "one\r\n\n" + long + "Done\n" + long[1:] + "\nDone\n" + long + "\nunfinished"
	want := []string{"one", "", long, long[1:], "Done", long}
	for _, size := range []int{1, 7, 4096, longestLine, longestLine + 1, len(text)} {
		var got []string
		f := &logFile{}
		for data := []byte(text); len(data) > 0; {
			n := min(size, len(data))
			require.True(t, f.take(data[:n], func(line []byte) bool { got = append(got, string(line)); return true }))
			data = data[n:]
		}
		require.Equal(t, want, got, "%d bytes at once", size)
		require.Equal(t, "unfinished", string(f.rest))
	}
}

// What follows the line that was looked for is not lost.
func TestLogLinesAfterOne(t *testing.T) {
	var got []string
	f := &logFile{}
	each := func(line []byte) bool { got = append(got, string(line)); return string(line) != "found" }
	require.False(t, f.take([]byte("a\nfound\nb\nfound\nc\nd"), each))
	require.False(t, f.take([]byte("e\n"), each))
	require.True(t, f.take(nil, each))
	require.Equal(t, []string{"a", "found", "b", "found", "c", "de"}, got)
}
