package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// systemd starts again what has ended; every verb finds the new process by the
// PID file, and stop means it.
func TestSystemdRestart(t *testing.T) {
	lab.Program(t, "python3")
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w
again() { # PID FILE: waits for another process
	until new=$("$D" status --json $2 2>/dev/null | sed -n 's/.*"pid":\([0-9]*\),.*/\1/p') && [ -n "$new" ] && [ "$new" != "$1" ] && kill -0 $new; do sleep .05; done
}
for when in on-failure always; do
	say $when
	old=$("$D" --restart $when -o $when.log --console $when.in --stop-console stop -p $when.pid -- sh -c 'echo up; while read line; do echo "$line!"; [ "$line" != stop ] || exit 0; done')
	until grep -q up $when.log; do sleep .02; done
	kill -9 $old
	again $old $when.pid; echo again
	[ $(cat $when.pid) = $new ] && echo named
	[ "$(ps -o args= -p $new)" = "$(tr '\0' ' ' </proc/$new/cmdline | sed 's/ $//')" ] && echo same
	"$D" send $when.pid hello && until grep -q 'hello!' $when.log; do sleep .02; done; grep -c '^up' $when.log
	"$D" -p $when.pid -- sleep 1000 2>&1 | grep -o 'already running'
	say $when stop; "$D" stop $when.pid >/dev/null; echo $?
	say $when left; ls $when.pid* 2>/dev/null; systemctl list-units --all --plain --no-legend 'detach-*'; pgrep -f 'while read line' | grep -v $$
done
say clean exit; "$D" --restart on-failure -p clean.pid --console clean.in -- sh -c 'read x; exit 0' >/dev/null; "$D" send clean.pid end; until ! "$D" status clean.pid >/dev/null; do sleep .02; done; systemctl list-units --all --plain --no-legend 'detach-*'
say stop by signal; "$D" --restart always -p signal.pid -- sleep 1001 >/dev/null; "$D" stop -q signal.pid; echo $?; systemctl list-units --all --plain --no-legend 'detach-*'; pgrep -fx 'sleep 1001'
say not stolen; old=$("$D" --restart always -p stolen.pid -- sleep 1002); unit=$(sed -n 's/.*"unit": "\(.*\)",/\1/p' stolen.pid.json)
systemctl stop $unit; systemd-run -q sleep 1003; "$D" status stolen.pid | grep -o 'dead'; "$D" stop -q stolen.pid; pgrep -fx '/usr/bin/sleep 1003' >/dev/null && echo untouched
say watchdog; : >dog.log; old=$("$D" --restart on-failure --watchdog 1s -p dog.pid -o dog.log -- python3 -c 'import os,socket,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.sendto(b"WATCHDOG=1",os.environ["NOTIFY_SOCKET"]); print("told", os.environ["WATCHDOG_USEC"], flush=True); time.sleep(1000)')
again $old dog.pid; until [ $(grep -c 'told 1000000' dog.log) -ge 2 ]; do sleep .05; done; echo bitten; "$D" stop -q dog.pid; echo $?
say fork; "$D" --via fork --restart always -- sleep 1004 2>&1; "$D" --via fork --watchdog 1s -- sleep 1004 2>&1; pgrep -fx 'sleep 1004'
true
`)
	for _, when := range []string{"on-failure", "always"} {
		require.Equal(t, "again\nnamed\nsame\n2\nalready running", got[when])
		require.Equal(t, "0", got[when+" stop"])
		require.Empty(t, got[when+" left"])
	}
	require.Empty(t, got["clean exit"])
	require.Equal(t, "0", got["stop by signal"])
	require.Equal(t, "dead\nuntouched", got["not stolen"])
	require.Equal(t, "bitten\n0", got["watchdog"])
	require.Regexp(t, `^detach: restart always: nobody looks after a double fork\nhint: .*--via systemd.*\ndetach: watchdog 1s: nobody looks after a double fork\nhint: .*$`, got["fork"])
}
