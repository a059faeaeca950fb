package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// What systemd is to start again, or to watch, notifies systemd, each process of
// it. A start waits for that as it does after a fork, and fails in the same words.
func TestSystemdNotify(t *testing.T) {
	lab.Program(t, "python3")
	got := inSections(t, lab.Systemd, reloadFunctions+`
mkdir /run/w; cd /run/w
cat >say.py <<'END'
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = os.environ["NOTIFY_SOCKET"]
s.connect("\0" + name[1:] if name[0] == "@" else name)
print("up", os.environ.get("WATCHDOG_USEC") if "READY=1" in sys.argv else "", flush=True)
while not os.path.exists("go"): time.sleep(.02)
for message in sys.argv[1:]:
    print(message, flush=True)
    s.send(message.encode())
while "WATCHDOG_USEC" in os.environ and not os.path.exists("bite"):
    s.send(b"WATCHDOG=1")
    time.sleep(.02)
time.sleep(73001)
END
up() { until [ "$(grep -cs ^up log)" = $1 ]; do "$D" status p.pid >/dev/null 2>&1 || [ ! -s failed ] || exit; sleep .02; done; }
for flags in '--watchdog 1s' '--restart always' '--restart always --watchdog 1s'; do
	say $flags
	rm -f go; ("$D" $flags --ready notify -E NOTIFY_SOCKET=/run/w/nobody -o log -p p.pid -- python3 say.py STATUS=half READY=1 >out 2>&1; echo $? >failed; cat out failed >result) & starter=$!
	up 1; "$D" status p.pid | grep -o starting
	"$D" -p other.pid -- sleep 73002 >/dev/null; "$D" stop -q other.pid; echo other
	"$D" -p p.pid -- sleep 73002 2>&1 | grep -o 'already running'
	touch go; wait $starter; [ "$(xargs <result)" = "$(cat p.pid) 0" ] && echo ready
	"$D" status p.pid | grep -o running
	old=$(cat p.pid); touch bite
	case $flags in
	*restart*watchdog*) again $old p.pid; echo bitten;;
	*watchdog*) until "$D" status p.pid | grep -o dead; do sleep .02; done; grep -o 'up .*' log;;
	*) kill -9 $old; again $old p.pid; until [ $(grep -c READY=1 log) = 2 ]; do sleep .02; done; until systemctl is-active -q 'detach-*'; do sleep .02; done; echo active;;
	esac
	"$D" stop -q p.pid; echo $?
	rm -f log out result failed go bite
done
touch go
compare() { # what a start by systemd says, and a double fork
	say $*; for how in '--via fork' '--restart always' '--watchdog 1m'; do
		for patience in 1s 4s 16s 64s; do # until it has come to say a word
			[ "$1" != --timeout ] || { shift 2; set -- --timeout $patience "$@"; }
			rm -f log; "$D" $how --ready notify -o log -p p.pid "$@" >out 2>&1; echo $? >>out
			[ "$1" = --timeout ] && ! grep -q 'notify: loading' out || break
		done
		sed 's/^detach: start .*python3: /detach: start python3: /' out >"./$how"; rm -f log
	done
	cat ./--via*; cmp ./--via* ./--restart* && cmp ./--via* ./--watchdog* && echo same; rm ./--*; left 73001
}
compare --timeout 1s -- python3 say.py STATUS=loading
compare -- python3 say.py STATUS=loading ERRNO=13
compare -- sh -c 'echo no; exit 3'
compare -- sh -c 'kill -9 $$'
compare -- true
printf '\\177ELF' >bad; chmod +x bad; compare -- ./bad
compare --ready alive=5ms -- python3 -c 'import os; os.abort()'
say keep; old=$("$D" --restart always --ready notify --timeout 1s --keep -o log -p p.pid -- sleep 73001 2>out); echo $?; cat out
systemctl is-active 'detach-*'; "$D" status p.pid | grep -o running; kill -9 $old; again $old p.pid; "$D" status p.pid | grep -o running; "$D" stop -q p.pid; echo $?
say left; left 7300
`)
	const ready = "starting\nother\nalready running\nready\nrunning\n"
	require.Equal(t, ready+"dead\nup 1000000\n0", got["--watchdog 1s"])
	require.Equal(t, ready+"active\n0", got["--restart always"])
	require.Equal(t, ready+"bitten\n0", got["--restart always --watchdog 1s"])
	const hint = `(hint: .*\n)?`
	for what, want := range map[string]string{
		"--timeout 1s -- python3 say.py STATUS=loading": `start python3: not ready in time, still waiting for notify: loading\nlog: up \nlog: STATUS=loading\n` + hint + `124`,
		"-- python3 say.py STATUS=loading ERRNO=13":     `start python3: said that it failed, still waiting for notify: loading: permission denied\n(log: .*\n)+` + hint + `123`,
		"-- sh -c echo no; exit 3":                      `start /\S*sh: ended before it was ready: exit status 3\nlog: no\n` + hint + `123`,
		"-- sh -c kill -9 $$":                           `start /\S*sh: ended before it was ready: killed by SIGKILL\n` + hint + `123`,
		"-- true":                                       `start /\S*true: ended before it was ready: exit status 0\n` + hint + `123`,
		"-- ./bad":                                      `exec ./bad: exec format error\n` + hint + `126`,
		"--ready alive=5ms -- python3 -c import os; os.abort()": `start python3: ended before it was ready: killed by SIGABRT\n` + hint + `123`,
	} {
		require.Regexp(t, `^detach: `+want+`\nsame$`, got[what], what)
	}
	require.Regexp(t, `^124\ndetach: start /\S*sleep: not ready in time, still waiting for notify\n(hint: .*\n)?activating\nrunning\nrunning\n0$`, got["keep"])
	require.Empty(t, got["left"])
}
