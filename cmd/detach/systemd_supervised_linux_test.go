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
	require.Regexp(t, `^detach: exec ./secret: permission denied`, got["./secret --user mc -o log"])
	require.Empty(t, got["left"])
}
