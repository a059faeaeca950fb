package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// busProxy is a shell function that starts a program which passes on what is
// said to the bus, at the socket $1. Once a start was asked for it stops the bus
// if $2 is the PID of that, and if it is "mute" passes no answer on any more.
const busProxy = `cat >proxy.py <<'END'
import array, os, signal, socket, sys, threading
mode = sys.argv[2] if len(sys.argv) > 2 else ''
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(9)
print(flush=True)
def pump(a, b, up, muted):
	while True:
		try: data, control, _, _ = a.recvmsg(65536, 4096)
		except OSError: data = b''
		if not data: break
		fds = array.array('i')
		for level, kind, d in control:
			if kind == socket.SCM_RIGHTS: fds.frombytes(d[:len(d) - len(d) % 4])
		if up and b'StartTransientUnit' in data and mode:
			if mode == 'mute': muted.append(True)
			else: os.kill(int(mode), signal.SIGSTOP)
		try:
			if up or not muted: b.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else [])
		except OSError: break
		for f in fds: os.close(f)
	for c in a, b:
		try: c.shutdown(socket.SHUT_RDWR)
		except OSError: pass
while True:
	c, u, muted = s.accept()[0], socket.socket(socket.AF_UNIX), []
	u.connect('/run/dbus/system_bus_socket')
	for a, b, up in (c, u, True), (u, c, False): threading.Thread(target=pump, args=(a, b, up, muted), daemon=True).start()
END
proxied() { mkfifo up; python3 proxy.py "$@" >up & proxy=$!; read line <up; rm up; }
`

// Where a start was asked for and there is no answer, it is taken back, by the
// way it went; auto forks only then. There are never two.
func TestSystemdUnanswered(t *testing.T) {
	lab.Program(t, "python3")
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w
`+busProxy+`
running() { echo $(pgrep -fx "sleep $1" | wc -l) run, $(systemctl list-units --all --plain --no-legend "detach-$1-*" | wc -l) units; }
proxied /run/w/mute mute
for start in '1000 auto' '1001 systemd'; do (
	set -- $start
	DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/w/mute "$D" --via $2 -p $1.pid -o log -- sleep $1 >$1.out 2>&1; echo status $? >>$1.out
) & starts="$starts $!"; done; wait $starts
for mark in 1000 1001; do say mute $mark; cat $mark.out; running $mark; sed -n 's/.*"via": "\(.*\)",/\1/p' $mark.pid.json 2>/dev/null; "$D" stop -q $mark.pid; done
bus=$(pgrep -x dbus-daemon | head -n1)
proxied /run/w/stopped $bus
say stopped; DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/w/stopped "$D" -p 1002.pid -o log -- sleep 1002; echo status $?; running 1002; ls 1002.pid*
kill -CONT $bus; busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.DBus.Peer Ping >/dev/null
say goes on; running 1002; "$D" status 1002.pid | grep state
say again; "$D" -p 1002.pid -o log -- sleep 1002 >/dev/null; echo status $?; running 1002; "$D" stop -q 1002.pid; ls *.pid* 2>/dev/null; true
`)
	require.Regexp(t, `^detach: warning: .*; it is no service of its own because: no answer within 5s\nhint: .*\n\d+\nstatus 0\n1 run, 0 units\nfork$`, got["mute 1000"])
	require.Regexp(t, `^detach: start detach-1001-[0-9a-f]+\.service: no answer within 5s\nstatus 125\n0 run, 0 units$`, got["mute 1001"])
	require.Regexp(t, `^detach: start detach-1002-[0-9a-f]+\.service: systemd was asked to start detach-1002-[0-9a-f]+\.service and has not answered: no answer within 5s\nstatus 125\n0 run, 0 units\n1002.pid.json$`, got["stopped"])
	require.Regexp(t, `^0 run, 0 units\nstate +dead$`, got["goes on"])
	require.Equal(t, "status 0\n1 run, 1 units", got["again"])
}
