package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// busProxy is a program that passes on what is said to the bus, at the socket
// $1. With a second argument it stops the bus, whose PID that is, once a start
// was asked for.
const busProxy = `cat >proxy.py <<'END'
import array, os, signal, socket, sys, threading
stop = int(sys.argv[2]) if len(sys.argv) > 2 else 0
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(9)
print(flush=True)
def pump(a, b, up):
	global stop
	while True:
		try: data, control, _, _ = a.recvmsg(65536, 4096)
		except OSError: data = b''
		if not data: break
		fds = array.array('i')
		for level, kind, d in control:
			if kind == socket.SCM_RIGHTS: fds.frombytes(d[:len(d) - len(d) % 4])
		if up and stop and b'StartTransientUnit' in data:
			os.kill(stop, signal.SIGSTOP)
			stop = 0
		try: b.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else [])
		except OSError: break
		for f in fds: os.close(f)
	for c in a, b:
		try: c.shutdown(socket.SHUT_RDWR)
		except OSError: pass
while True:
	c, u = s.accept()[0], socket.socket(socket.AF_UNIX)
	u.connect('/run/dbus/system_bus_socket')
	for a, b, up in (c, u, True), (u, c, False): threading.Thread(target=pump, args=(a, b, up), daemon=True).start()
END
proxied() { mkfifo up; python3 proxy.py "$@" >up & proxy=$!; read line <up; rm up; }
`

// In another PID namespace the PIDs of systemd are those of strangers.
func TestSystemdOtherPIDNamespace(t *testing.T) {
	lab.Program(t, "python3")
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w
cat >inner <<'INNER'
D=$1; say() { echo "== $*"; }
`+busProxy+`
echo $(($2 + 300)) >/proc/sys/kernel/ns_last_pid
for n in $(seq 600); do sleep 2000 & done
say hazards; "$D" hazards; echo status $?
for via in auto systemd; do
	say $via; "$D" --via $via -o log -p $via.pid -- sleep 1000 >out 2>err; echo $?
	cat err; sed -n 's/.*"via": "\(.*\)",/\1/p' $via.pid.json 2>/dev/null
done
say behind a proxy
proxied /run/w/proxy
DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/w/proxy "$D" --via systemd -o log -p proxy.pid -- sleep 1001; echo $?; ls proxy.pid* 2>/dev/null
say strangers; pgrep -cfx "sleep 2000"
INNER
unshare -p -f --mount-proc --kill-child sh inner "$D" $(sh -c 'echo $$') 2>&1
say left; pgrep -fx 'sleep 1001'; systemctl list-units --all --plain --no-legend 'detach-*'
`)
	const why = `systemd is in another PID namespace than the caller`
	require.Regexp(t, `via: fork\n(.*\n)*hazard: it is in the cgroup of sdtest-cmd\.service, .*; it is no service of its own because: `+why, got["hazards"])
	require.Regexp(t, `^0\ndetach: warning: .*; it is no service of its own because: `+why+`\nhint: .*\n(.*\n)*fork$`, got["auto"])
	require.Equal(t, "125\ndetach: via systemd: "+why, got["systemd"])
	require.Regexp(t, `^detach: verify /\S*/sleep: not detached: unit of PID \d+: \S+, want detach-proxy-[0-9a-f]+\.service\n125$`, got["behind a proxy"])
	require.Equal(t, "600", got["strangers"])
	require.Empty(t, got["left"])
}
