package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// spares makes daemons without a PID file, each in a cgroup of its own.
const spares = `
mkdir -m 777 /run/w; cd /run/w
left() { find /sys/fs/cgroup -name 'detach-*' -printf '%f\n' | sort -u; }
gone() { until ! kill -0 $1 2>/dev/null; do sleep .02; done; }
`

// The cgroup of a daemon without a PID file, which nothing takes away when it
// ends, is gone after the next start. Nobody's who lives is touched.
func TestOwnCgroupLeftIsSwept(t *testing.T) {
	for name, systemd := range bothLabs {
		t.Run(name, func(t *testing.T) {
			got := inSections(t, systemd, spares+`
dead=$("$D" --via cgroup -- sleep 1001); alive=$("$D" --via cgroup -- sleep 1002)
"$D" --via cgroup -p pid -- sleep 1003 >/dev/null; named=$(cat pid)
kill -9 $dead $named; gone $dead; gone $named
say before; left | sed 's/[0-9a-f]\{16\}/HASH/'
next=$("$D" --via cgroup -- sleep 1004)
say after; left | sed 's/[0-9a-f]\{16\}/HASH/'; kill -0 $alive && echo alive
kill -9 $alive $next; gone $alive; gone $next
"$D" --via cgroup -p pid -- sleep 1005 >/dev/null
say at last; left | sed 's/[0-9a-f]\{16\}/HASH/'; "$D" stop -q pid; left
`)
			require.Equal(t, "detach-pid-HASH\ndetach-sleep-HASH.spare\ndetach-sleep-HASH.spare", got["before"])
			require.Equal(t, "detach-pid-HASH\ndetach-sleep-HASH.spare\ndetach-sleep-HASH.spare\nalive", got["after"])
			require.Equal(t, "detach-pid-HASH", got["at last"])
		})
	}
}

// A start whose cgroup is swept before its daemon is in it makes another one.
func TestOwnCgroupSweptDuringAStart(t *testing.T) {
	lab.Program(t, "strace")
	for name, systemd := range bothLabs {
		t.Run(name, func(t *testing.T) {
			got := inSections(t, systemd, spares+`
stopped() { ps -e -o pid= -o ppid= -o stat= -o comm= | awk '{ of[$1]=$4 } $3~/^t/ { by[$1]=$2 } END { for (p in by) if (of[p]=="detach" && of[by[p]]=="detach") print p }'; } # the intermediate
strace -f -qq -o /dev/null -e inject=setsid:signal=STOP "$D" --via cgroup -- sleep 1001 >out 2>&1 & strace=$!
until first=$(left); [ "$first" ] && [ "$(stopped)" ]; do sleep .02; done
"$D" --via cgroup -p pid -- sleep 1002 >/dev/null
say swept; left | grep -c spare; [ "$first" ] && echo "there was one"
until [ -s out ]; do for pid in $(stopped); do kill -CONT $pid; done; sleep .02; done
say started; sed 's/[0-9]*/PID/' out; left | grep -c spare; pgrep -fx "sleep 1001" | grep -cx "$(cat out)"
kill -9 $(cat out); wait $strace; "$D" stop -q pid
`)
			require.Equal(t, "0\nthere was one", got["swept"])
			require.Equal(t, "PID\n1\n1", got["started"])
		})
	}
}
