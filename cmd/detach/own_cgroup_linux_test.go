package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

var bothLabs = map[string]func(testing.TB, ...string) *exec.Cmd{"both versions": lab.Systemd, "version 2": lab.UnifiedSystemd}

// A daemon in a cgroup of its own outlives that of its manager, and stop takes
// the cgroup away again, with all that is in it.
func TestOwnCgroup(t *testing.T) {
	for name, systemd := range bothLabs {
		t.Run(name, func(t *testing.T) {
			got := inSections(t, systemd, `
mkdir -m 777 /run/w; cd /run/w
root=$(awk '$3=="cgroup2"{print $2; exit}' /proc/self/mounts)
own() { grep ^0:: /proc/$1/cgroup | cut -d: -f3; }
left() { find /sys/fs/cgroup -name 'detach-*' -o -name asked; }
say killed
mkdir $root/manager
sh -c 'echo 0 >"$0/manager/cgroup.procs"; "$1" --via cgroup -p pid -o log -- sh -c "setsid sleep 1001 & sleep 1002" >/dev/null; sleep 1003' $root "$D" &
for n in 1001 1002 1003; do until pgrep -fx "sleep $n" >/dev/null; do sleep .02; done; done
echo 1 >$root/manager/cgroup.kill
until ! pgrep -fx 'sleep 1003' >/dev/null; do sleep .02; done
pgrep -af '^sleep 100' | cut -d' ' -f2- | sort
own $(cat pid) | sed 's/[0-9a-f]*$/HASH/'
grep -c '"cgroup.*":' pid.json
"$D" verify pid >/dev/null; echo verify $?
say stop; "$D" stop -q pid; echo $?; pgrep -f '^sleep 100'; left
say again
"$D" --via cgroup -p pid -- sleep 1001 >/dev/null; first=$(own $(cat pid)); kill -9 $(cat pid); until ! kill -0 $(cat pid) 2>/dev/null; do sleep .02; done
left | wc -l >count
"$D" --via cgroup -p pid -- sleep 1001 >/dev/null; [ "$(own $(cat pid))" = "$first" ] && echo same
"$D" stop -q pid; left
say left behind
"$D" --via cgroup -p pid --console in -- sh -c 'read go; setsid setsid -f sleep 1004' >/dev/null || exit; "$D" send pid go; until pgrep -fx 'sleep 1004' >/dev/null && ! kill -0 $(cat pid) 2>/dev/null; do sleep .02; done
"$D" --via cgroup -p pid -- sleep 1005 2>&1 | sed 's/[0-9][0-9]*/N/g'
"$D" stop -q pid; pgrep -fx 'sleep 1004'; left
say asked
"$D" --via cgroup --cgroup /asked -p pid -- sleep 1001 >/dev/null; own $(cat pid); "$D" stop -q pid; left
say shared
for n in 1 2; do "$D" --via cgroup --cgroup /asked -p $n.pid -- sleep 101$n >/dev/null; done
sleep 1013 & alien=$!; until pgrep -fx 'sleep 1013' >/dev/null; do sleep .02; done; echo $alien >$root/asked/cgroup.procs
"$D" stop -q 1.pid; echo $?; pgrep -af '^sleep 101' | cut -d' ' -f2-; "$D" status 2.pid | grep -o running; left
"$D" stop -q 2.pid; echo $?; kill $alien; wait $alien; for dir in $(left); do until rmdir $dir 2>/dev/null; do sleep .02; done; done
say elsewhere
unshare -C "$D" --via cgroup -p pid -- sleep 1001 2>&1; echo $?; ls pid 2>/dev/null; left
say no parent; "$D" --via cgroup --cgroup /no/asked -p pid -- sleep 1001 2>&1; ls pid 2>/dev/null
say no path; "$D" --via cgroup --cgroup asked -p pid -- sleep 1001 2>&1
say fork; "$D" --cgroup /asked -p pid -- sleep 1001 2>&1
say cannot enter
mkdir -p $root/p/t; [ ! -e /sys/fs/cgroup/systemd ] || mkdir /sys/fs/cgroup/systemd/p; echo threaded >$root/p/t/cgroup.type
"$D" --via cgroup --cgroup /p/asked -p pid -- sleep 1001 2>&1; echo $?; ls pid 2>/dev/null; left
say cannot exec; "$D" --via cgroup -p pid -- /etc/passwd 2>/dev/null; echo $?; printf '#!/no/such\n' >bad; chmod +x bad; "$D" --via cgroup -p pid -- ./bad 2>/dev/null; echo $?; left
say not ready; "$D" --via cgroup --ready alive=1h --timeout 50ms -p pid -- sleep 1001 2>/dev/null; echo $?; left; ls pid 2>/dev/null; true
`)
			require.Equal(t, "sleep 1001\nsleep 1002\n/detach-pid-HASH\n2\nverify 0", got["killed"])
			require.Equal(t, "0", got["stop"])
			require.Equal(t, "same", got["again"])
			require.Equal(t, "detach: start with pid: PID N has ended, and left in its session: PID N\nhint: detach stop pid ends them", got["left behind"])
			require.Equal(t, "/asked", got["asked"])
			require.Regexp(t, `^0\nsleep 1012\nsleep 1013\nrunning\n(\S+/asked\n)+0(\nTerminated)?$`, got["shared"])
			require.Regexp(t, `^detach: via cgroup: the caller is not where /proc/self/cgroup says: .*\n125$`, got["elsewhere"])
			require.Regexp(t, `^detach: create cgroup .*/no/asked: no such file or directory\n`, got["no parent"])
			require.Equal(t, "detach: cgroup asked: is not a path as in /proc/PID/cgroup", got["no path"])
			require.Equal(t, "detach: cgroup /asked: is only entered by what is held by a cgroup\nhint: --cgroup goes with --via cgroup", got["fork"])
			require.Equal(t, "detach: enter cgroup /p/asked: operation not supported\n125", got["cannot enter"])
			require.Equal(t, "126\n126", got["cannot exec"])
			require.Equal(t, "124", got["not ready"])
		})
	}
}

// Who is not root has one within what was delegated to him, which is still in
// the unit: that is told.
func TestOwnCgroupOfAUser(t *testing.T) {
	got := inSections(t, lab.UnifiedSystemd, `
useradd -m -u 4711 panel
mkdir -m 777 /run/w; cd /run/w
as() { systemd-run -q --pipe --wait -G --unit=panel -p Delegate=yes -p User=panel -p WorkingDirectory=/run/w "$@" 2>&1; }
say delegated
as sh -c 'cd /sys/fs/cgroup/system.slice/panel.service && mkdir sub && echo 0 >sub/cgroup.procs && cd /run/w &&
	"$0" --via cgroup -o log -p pid -- sleep 1001 | sed "s/[0-9]*/PID/"; grep ^0:: /proc/$(cat pid)/cgroup; "$0" stop -q pid; echo $?; ls /sys/fs/cgroup/system.slice/panel.service | grep detach' "$D"
say strict
as sh -c 'cd /sys/fs/cgroup/system.slice/panel.service && mkdir sub && echo 0 >sub/cgroup.procs && cd /run/w &&
	"$0" --via cgroup --strict -o log -p pid -- sleep 1003; echo $?; ls /run/w/pid; ls /sys/fs/cgroup/system.slice/panel.service | grep detach; pgrep -fx "sleep 1003"' "$D"
say not
as "$D" --via cgroup -o log -p pid -- sleep 1002; echo $?; ls pid; pgrep -fx 'sleep 1002'; true
`)
	require.Regexp(t, `^detach: warning: it is in the cgroup of panel\.service, which .*\nhint: .*\nPID\n0::/system\.slice/panel\.service/detach-pid-[0-9a-f]{16}\n0$`, got["delegated"])
	require.Regexp(t, `^detach: start sleep: it is in the cgroup of panel\.service, which .*\nhint: .*\n125\nls: .*$`, got["strict"])
	require.Regexp(t, `^detach: create cgroup /sys/fs/cgroup/detach-pid-[0-9a-f]{16}: permission denied\n(hint: .*\n)?125\n`, got["not"])
}
