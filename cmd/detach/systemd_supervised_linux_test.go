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
