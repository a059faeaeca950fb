package detach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A record may be a user's, who would have root remove what is not of detach.
func TestDropInOfAnotherUnit(t *testing.T) {
	require.True(t, dropIn{unit: "detach-my_server-0123456789abcdef.service"}.isOwn())
	for _, unit := range []string{"", "ssh.service", "detach-x", "detach-x.socket", "../detach-x.service", "detach-/../../x.service", "detach-.x.service", "detach-x\x00.service"} {
		require.False(t, dropIn{unit: unit}.isOwn(), unit)
	}
}
