package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// What the caller lives by is not stopped by its number; by its PID file or identity a
// program stops the daemon that it is of. All of it is in a PID namespace.
func TestStopOfAnAncestor(t *testing.T) {
	lab.Root(t)
	own, err := os.Readlink("/proc/self/ns/pid")
	require.NoError(t, err)
	cmd := exec.Command(lab.Program(t, "unshare"), "-f", "-p", "--mount-proc", "--kill-child", "setsid", "sh", "-c", `sh -c "$@"; exit $?`, "sh", sectionsPrelude+`
stop() { "$D" stop --timeout 500ms "$@" 2>&1; echo $?; }
say PID 1; [ $(readlink /proc/self/ns/pid) != "$1" ] && stop 1
say grandparent; sh -c 'sh -c "\"\$0\" stop --timeout 500ms $$; echo \$?" "$0" 2>&1; :' "$D" | sed 's/stop [0-9]*/stop PID/'
say a child; sleep 1000 & stop $! | sed 's/[0-9.]*ms/TIME/; s/PID [0-9]*/PID/'
say from within; "$D" -p pid -- sh -c '"$0" stop pid; :' "$D" >/dev/null; until [ ! -e pid ]; do sleep .02; done; ls pid* 2>/dev/null
say from within by identity; "$D" --json -- sh -c 'until [ -e id ]; do sleep .02; done; "$0" stop "$(cat id)"; :' "$D" >json
sed 's/.*"identity":"\([^"]*\)".*/\1/' json >new; mv new id; while "$D" status "$(cat id)" >/dev/null; do sleep .02; done; echo ended
say the caller goes on
`, lab.Bin(t, "detach"), own)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	got := sectionsOf(t, out)
	const hint = "\nhint: nothing was signalled; do it from outside (docker stop, poweroff), or name a daemon by its PID file\n125"
	require.Equal(t, "detach: stop 1: is PID 1, with which everything here ends"+hint, got["PID 1"])
	require.Equal(t, "detach: stop PID: the caller descends from it, and would end with it"+hint, got["grandparent"])
	require.Equal(t, "PID: stopped in TIME (SIGTERM)\n0", got["a child"])
	require.Empty(t, got["from within"])
	require.Equal(t, "ended", got["from within by identity"])
	require.Contains(t, got, "the caller goes on")
}
