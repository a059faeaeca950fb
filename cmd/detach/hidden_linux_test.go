package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// hidden runs as nobody where /proc shows nobody's processes alone (hidepid=2
// in proc(5)): of a daemon of another user, and of one of its own.
const hidden = `
mount -t proc -o hidepid=2 proc /proc
exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '
cd "$1"
detach status root.pid; echo "status $?"
detach wait --timeout 50ms root.pid; echo "wait $?"
detach stop root.pid; echo "stop $?"
detach -p own/pid -o own/log --console own/in --ready alive=10ms -- sleep "$2" >/dev/null || exit
detach status own/pid | grep ^state; echo "own status $?"
detach stop own/pid >/dev/null; echo "own stop $?"

# Another program of the same user, which /proc hides since nobody may read its
# file, has got the PID.
detach -q -p own/pid -- sleep 1000
pid=$(cat own/pid)
kill -9 $pid
./unreadable 1000 & other=$!
while [ -e /proc/$other ]; do :; done # until it is executed
echo $other >own/pid
sed -i "s/\"pid\": $pid,/\"pid\": $other,/" own/pid.json
detach status own/pid >own/status; echo "stranger status $?"
grep "^identity" own/status
detach stop own/pid; echo "stranger stop $?"
detach stop $other@1; echo "identity stop $?"
kill -0 $other && echo "the stranger lives"
kill $other
' sh "$@"
`

func TestHiddenInProc(t *testing.T) {
	lab.Root(t)
	lab.Program(t, "setpriv")
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "own"), 0o700))
	require.NoError(t, os.Chown(filepath.Join(dir, "own"), 65534, 65534))
	sleep, err := os.ReadFile(lab.Program(t, "sleep"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "unreadable"), sleep, 0o111))
	cmd := detach.Command("sleep", lab.Mark())
	cmd.Dir, cmd.PIDFile = dir, "root.pid"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer p.Close()
	daemon := lab.Hold(t, p.PID)
	mark := lab.Mark()
	lab.KillMarked(t, mark)

	run := exec.Command("unshare", "-m", "sh", "-c", hidden, "sh", dir, mark)
	run.Env = append(os.Environ(), "PATH="+filepath.Dir(lab.Bin(t, "detach"))+":"+os.Getenv("PATH"))
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Regexp(t, `(?m)^state +running$`, string(out))
	require.Regexp(t, `(?m)^note +it is hidden in /proc$`, string(out))
	for _, line := range []string{"status 0", "wait 124", "stop 125", "own status 0", "own stop 0"} {
		require.Contains(t, "\n"+string(out), "\n"+line+"\n")
	}
	for _, line := range []string{"stranger status 0", "stranger stop 125", "identity stop 125", "the stranger lives"} {
		require.Contains(t, string(out), "\n"+line+"\n")
	}
	require.Regexp(t, `(?m)^identity +not checked`, string(out))
	require.Equal(t, 3, strings.Count(string(out), "found by its PID alone"), "%s", out)
	require.True(t, daemon.Alive())
	require.FileExists(t, p.Record.PIDFile)
}
