package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// reuse runs as PID 1 of a PID namespace: it ends a daemon and gives its PID to
// another process, by asking the kernel for that number (ns_last_pid in
// proc_sys_kernel(5)).
const reuse = `
set -e
daemon() { detach -q -p d.pid -- sleep 1000; cat d.pid; }
stranger() { # PID
	kill -9 $1
	while kill -0 $1 2>/dev/null; do sleep 0.01; done
	n=0; other=
	until [ "$other" = $1 ]; do
		[ -z "$other" ] || { kill $other; wait $other || :; }
		n=$((n+1)); [ $n -lt 1000 ] || { echo "the PID does not come again"; exit 9; }
		echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid
		sleep 1001 & other=$!
	done
}
pid=$(daemon)
identity=$(sed -n 's/^  "start": \([0-9]*\),$/\1/p' d.pid.json)
stranger $pid
set +e
detach status d.pid >status; echo "status $?"; grep ^state status
detach status $pid@$identity >status; echo "identity $?"
detach wait d.pid
detach stop d.pid; echo "stop $?"
detach stop $pid@$identity; echo "stop identity $?"
[ -e d.pid ] && echo "the file is left"

set -e
first=$(daemon)
stranger $first
second=$(daemon)
set +e
[ "$(cat d.pid)" = $second ] && [ $second != $first ] && echo replaced
kill -0 $other && echo "the stranger lives"
detach status d.pid >status; echo "status $?"
`

var identities = regexp.MustCompile(`[0-9]+@[0-9]+`)

func TestPIDIsReused(t *testing.T) {
	lab.Root(t)
	unshare := lab.Program(t, "unshare")
	cmd := exec.Command(unshare, "--fork", "--pid", "--kill-child", "--mount-proc", "sh", "-c", reuse)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(lab.Bin(t, "detach"))+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, `status 1
state    dead
identity 3
PID file d.pid: ended, it is not known how
PID file d.pid: not running
stop 0
identity PID@START: not running
stop identity 0
replaced
the stranger lives
status 0
`, identities.ReplaceAllString(string(out), "PID@START"))
}
