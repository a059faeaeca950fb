package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// Whatever a daemon is named by, stop keeps systemd from starting it again; or it
// says that it cannot, and nothing has been signalled.
func TestSystemdStopIsFinal(t *testing.T) {
	got := inSections(t, lab.Systemd, reloadFunctions+unitFunctions+`
useradd -m -u 4711 mc; mkdir /run/w; cd /run/w; chown mc .
as() { setpriv --reuid mc --regid mc --clear-groups "$@"; }
say another; pid=$("$D" --user mc -o log -p p.pid --restart always -- sleep 74001)
for target in p.pid $pid; do as "$D" stop $target 2>&1; echo $?; done
[ $(cat p.pid) = $pid ] && kill -0 $pid && echo runs; "$D" stop -q p.pid
for way in '' '-p p.pid'; do
	say by PID $way; pid=$("$D" $way --restart always -- sleep 74002); "$D" stop -q $pid; echo $?; systemctl list-units --all --plain --no-legend 'detach-*'
	say by identity $way; id=$("$D" $way --json --restart always -- sleep 74002 | sed 's/.*"identity":"\([^"]*\)".*/\1/'); "$D" stop -q "$id"; echo $?; systemctl list-units --all --plain --no-legend 'detach-*'
	rm -f p.pid*
done
say of others; unit own --restart always -- sleep 74003; systemctl start own; pid=$(systemctl show -P MainPID own)
"$D" stop $pid 2>&1; echo $?; [ $(systemctl show -P MainPID own) = $pid ] && echo runs; systemctl stop own
say once; systemd-run -q sleep 74004; until pid=$(pgrep -fx '/usr/bin/sleep 74004'); do sleep .02; done; "$D" stop -q $pid; echo $?
say not read again; pid=$("$D" -p p.pid --restart always -- sleep 74005); unit=$(sed -n 's/.*"unit": "\(.*\)",/\1/p' p.pid.json)
mkdir -p /run/systemd/system/$unit.d; printf '[Service]\nExecStart=\n' >/run/systemd/system/$unit.d/none.conf; systemctl daemon-reload; systemctl show -P LoadState $unit
"$D" stop -q p.pid; echo $?; rm -r /run/systemd/system/$unit.d; systemctl daemon-reload
say executed anew # which closes the connections that are not by the bus
pid=$("$D" -p p.pid -o log --restart always -- sh -c 'trap "echo asked; until [ -e go ]; do sleep .02; done; exit" TERM; echo up; while :; do sleep .02; done # 74006'); until grep -q up log; do sleep .02; done
unshare -m sh -c 'mount -t tmpfs none /run/dbus && exec "$0" stop -q p.pid' "$D" & stop=$!; until grep -q asked log; do kill -0 $stop || exit; sleep .02; done
systemctl daemon-reexec; touch go; wait $stop; echo $?; systemctl list-units --all --plain --no-legend 'detach-*'
say slow; pid=$("$D" -o log2 --restart always -- sh -c 'setsid sh -c "trap : TERM; echo \$\$ >child; echo up; while :; do sleep .02; done" & exec sleep 74007'); until grep -q up log2; do sleep .02; done
"$D" stop -q $pid; echo $?; kill -9 $(cat child); until [ -z "$(systemctl list-units --all --plain --no-legend 'detach-*')" ]; do sleep .02; done
say left; left 7400
`)
	refused := `detach: stop \S+: systemd would start it again as detach-p-[0-9a-f]{16}\.service, and cannot be told not to: .*[^.]\nhint: .*\n125\n`
	require.Regexp(t, `^`+refused+refused+`runs$`, got["another"])
	for _, way := range []string{"", " -p p.pid"} {
		require.Equal(t, "0", got["by PID"+way])
		require.Equal(t, "0", got["by identity"+way])
	}
	require.Regexp(t, `^detach: stop \d+: systemd would start it again as own\.service\nhint: systemctl stop own\.service\n125\nruns$`, got["of others"])
	require.Equal(t, "0", got["once"])
	require.Equal(t, "bad-setting\n0", got["not read again"])
	require.Equal(t, "0", got["executed anew"])
	require.Equal(t, "0", got["slow"], "systemd has been told, and is about it")
	require.Empty(t, got["left"])
}

// The shell that opens the files of what is started again is not taken for it:
// not by a start, nor by a verb that finds the next one.
func TestSystemdRestartSlowly(t *testing.T) {
	lab.Program(t, "gcc")
	got := inSections(t, lab.Systemd, reloadFunctions+`
useradd -m -u 4711 mc; mkdir /run/w; cd /run/w; chown mc .
cat >slow.c <<'END'
#include <string.h>
#include <unistd.h>
__attribute__((constructor)) static void slow(int argc, char **argv) { if (argc > 3 && strstr(argv[2], "exec \"$@\"")) usleep(500000); }
END
gcc -shared -fPIC -o slow.so slow.c || exit
slowly() { "$D" -E LD_PRELOAD=/run/w/slow.so -p p.pid "$@"; }
say start; old=$(slowly --restart always -o log --console in --stop-console stop -- sh -c 'while read line; do echo "$line!"; [ "$line" != stop ] || exit 0; done # 75001')
"$D" send p.pid hello; echo $?; "$D" status p.pid | grep -o running
say again; kill -9 $old; while kill -0 $old 2>/dev/null; do sleep .02; done; "$D" send p.pid hello; echo $?
say stop; "$D" stop p.pid | grep -o '(.*'; cat log; rm -f log in
printf '\177ELF' >bad; echo 'exit 0' >script; cp /bin/sleep secret; chmod 700 secret; chmod +x bad script
for user in '' '--user mc -o log'; do for program in ./bad ./script ./secret; do
	say $program $user; slowly $user --restart always --console in -- $program 75002 2>&1 | sed 's/^[0-9]*$/PID/'; "$D" stop -q p.pid; rm -f log in
done; done
say other machine; [ $(uname -m) = x86_64 ] && echo f0VMRgEBAQAAAAAAAAAAAAIAAwABAAAAVIAECDQAAAAAAAAAAAAAADQAIAABAAAAAAAAAAEAAAAAAAAAAIAECACABAhdAAAAXQAAAAUAAAAAEAAAuB0AAADNgOv3 | base64 -d >i386 && chmod +x i386 || cp /bin/sleep i386
"$D" --restart always --console in -p p.pid -- ./i386 75003 >/dev/null; echo $?; "$D" stop -q p.pid; echo $?
say left; left 7500
`)
	require.Equal(t, "0\nrunning", got["start"])
	require.Equal(t, "0", got["again"])
	require.Equal(t, "(console)\nhello!\nhello!\nstop!", got["stop"])
	for _, user := range []string{"", " --user mc -o log"} {
		require.Regexp(t, `^detach: exec ./bad: exec format error\nhint: `, got["./bad"+user])
		require.Regexp(t, `^detach: exec ./script: exec format error\nhint: `, got["./script"+user])
	}
	require.Equal(t, "PID", got["./secret"])
	require.Equal(t, "0\n0", got["other machine"])
	require.Regexp(t, `^detach: exec ./secret: permission denied`, got["./secret --user mc -o log"])
	require.Empty(t, got["left"])
}
