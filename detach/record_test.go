package detach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"detach":1,"pid":1}`))
	f.Add([]byte(`{"pid":1}`))
	f.Add([]byte(`[]`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRecord(data)
		if err != nil {
			return
		}
		require.Positive(t, r.PID)
		encoded, err := r.encode()
		require.NoError(t, err)
		again, err := parseRecord(encoded)
		require.NoError(t, err)
		require.Equal(t, r.Identity, again.Identity)
	})
}

func TestParseRecordRefusesOtherFiles(t *testing.T) {
	for _, data := range []string{"", "[]", "{}", "null", `"x"`, `[{"uuid":"1","name":"x","level":4}]`, `{"pid":1}`, `{"detach":1}`, `{"detach":1,"pid":-1}`, `{"detach":1,"pid":1`} {
		_, err := parseRecord([]byte(data))
		require.ErrorIs(t, err, ErrNotRecord, "%q", data)
	}
}

func TestIdentityString(t *testing.T) {
	require.Equal(t, "4711@123.4f0cbe00", Identity{PID: 4711, Start: 123, BootID: "4f0cbe00-1111-2222-3333-444444444444"}.String())
	require.Equal(t, "4711@123", Identity{PID: 4711, Start: 123}.String())
}

// The longest record must be one that is read again: every byte of the
// arguments may become six.
func TestRecordsAreNotEscapedForHTML(t *testing.T) {
	r := Record{Version: 1, Identity: Identity{PID: 1}, Command: []string{"<&>"}}
	data, err := r.encode()
	require.NoError(t, err)
	require.Contains(t, string(data), `"<&>"`)
}
