package main

import (
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// Arguments and environment are as long as the kernel takes them. What does not
// go through the socket of the bus is refused, and auto forks.
func TestSystemdLongEnvironment(t *testing.T) {
	lab.Program(t, "strace")
	forbid := strings.Join(forbid(t, unix.SYS_SETSOCKOPT, 0, 0, 0, syscall.EPERM), " ")
	got := inSections(t, lab.UnifiedSystemd, `
useradd -m -u 4711 panel
mkdir -m 777 /run/w; cd /run/w; cp "$D" /opt/detach; cp `+strings.Fields(forbid)[0]+` /opt/forbid
loginctl enable-linger panel
until [ "$(systemctl is-active user@4711)" = active ]; do systemctl is-failed -q user@4711 && exit 1; sleep .02; done
cat >long <<'END'
#!/bin/sh
# long KIB COMMAND...: executes it with an environment of this size
big=$(head -c 1000 /dev/zero | tr '\0' x)
for n in $(seq $1); do export "V$n=$big"; done
shift; exec "$@"
END
cat >both <<'END'
#!/bin/sh
for via in fork systemd; do /opt/detach --via $via -o log -p $via.pid -- sleep 1000 >/dev/null; tr '\0' '\n' </proc/$(cat $via.pid)/environ | LC_ALL=C sort >$via; /opt/detach stop -q $via.pid; done
wc -c <fork; cmp fork systemd && echo same; rm fork systemd log
END
chmod +x long both
for kib in 180 220 300 1500; do say root $kib; ./long $kib ./both; done
for kib in 180 220 300; do say user $kib; systemd-run -q --pipe --wait -p User=panel -p WorkingDirectory=/run/w ./long $kib ./both 2>&1; done
say directly; mv /run/dbus/system_bus_socket /run/dbus/away; ./long 1500 ./both; mv /run/dbus/away /run/dbus/system_bus_socket
say arguments; ./long 1 "$D" --via systemd -p pid -- sh -c 'exec sleep 1000' $(head -c 400000 /dev/zero | tr '\0' x | sed 's/.\{1000\}/& /g') >/dev/null; until grep -x sleep /proc/$(cat pid)/comm || ! kill -0 $(cat pid); do sleep .02; done; "$D" stop -q pid
say too long; ./long 300 /opt/`+strings.Replace(forbid, strings.Fields(forbid)[0], "forbid", 1)+` "$D" --via systemd -p pid -- sleep 1001 2>&1; echo $?; ls pid* 2>/dev/null; pgrep -fx 'sleep 1001'
say supervised; ./long 300 /opt/`+strings.Replace(forbid, strings.Fields(forbid)[0], "forbid", 1)+` "$D" --restart always -p pid -- sleep 1002 >/dev/null 2>&1; echo $?; "$D" stop -q pid
say auto; ./long 300 strace -f -qq -o trace -e trace=setsockopt -e inject=setsockopt:error=EPERM "$D" -o log --console in -p pid -- sh -c 'read x' >out 2>err & strace=$!
until [ -s out ] || ! kill -0 $strace; do sleep .02; done; cat err; grep -o '"via": "[a-z]*"' pid.json; "$D" stop -q pid; wait $strace
`)
	for _, kib := range []int{180, 220, 300, 1500} {
		for _, who := range []string{"root ", "user "} {
			text, ran := got[who+strconv.Itoa(kib)]
			require.Equal(t, ran, who == "root " || kib < 1500)
			if ran {
				require.Regexp(t, `^[1-9]\d+\nsame$`, text, who+strconv.Itoa(kib))
			}
		}
	}
	require.Regexp(t, `^[1-9]\d+\nsame$`, got["directly"])
	require.Equal(t, "sleep", got["arguments"])
	const why = `arguments and environment of \d+ KiB do not fit into the socket, which takes \d+ KiB: net\.core\.wmem_max is too small`
	require.Regexp(t, `(?m)^detach: start detach-pid-[0-9a-f]+\.service: `+why+`\n125$`, got["too long"])
	require.Contains(t, got["supervised"], "0")
	require.Regexp(t, `^detach: warning: it is in the cgroup of sdtest-cmd.service.*; it is no service of its own because: `+why+`\nhint: .*\n"via": "fork"$`, got["auto"])
}
