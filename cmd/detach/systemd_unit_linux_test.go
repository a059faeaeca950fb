package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// What systemd itself says of a daemon's unit, and that it forgets it.
func TestSystemdUnitProperties(t *testing.T) {
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w
unit() { sed -n 's/.*"unit": "\(.*\)",/\1/p' $1.pid.json; }
pid=$("$D" --via systemd -p 1.pid --console in -- sh -c 'read x; exit 3') || exit
for name in Description Type Slice CollectMode OOMPolicy TimeoutStartUSec ExitType KillMode IgnoreSIGPIPE; do say $name; systemctl show -P $name $(unit 1); done
say failed; "$D" wait 1.pid >waited 2>&1 & w=$!; until ls -l /proc/$w/fd | grep -q pidfd || ! kill -0 $w; do sleep .02; done
"$D" send 1.pid end || exit; wait $w; grep -o "exit status 3" waited; until systemctl show -P ActiveState $(unit 1) | grep -q -e inactive -e failed; do sleep .02; done
systemctl list-units --all --plain --no-legend 'detach-*'; "$D" stop -q 1.pid
say at once; "$D" --via systemd -p 2.pid --ready alive=1h -- sh -c 'exit 4' 2>/dev/null; echo $?
systemctl list-units --all --plain --no-legend 'detach-*'
say kept; "$D" --via systemd -p 3.pid -o log --ready log=go --console in -- sh -c 'read x; echo $x; read y' >/dev/null & d=$!
until [ -e 3.pid ] || ! kill -0 $d; do sleep .02; done
systemctl show -P Refs $(unit 3) | grep -o '^:' ; "$D" send 3.pid go; wait $d; echo $?; "$D" stop -q 3.pid
say background; "$D" --via systemd -p 4.pid --console in -- sh -c 'sleep 1000 & echo $! >child; read x' >/dev/null; until [ -s child ]; do sleep .02; done; "$D" send 4.pid end; until ! [ -e /proc/$(cat 4.pid)/exe ]; do sleep .02; done
until [ $(systemctl show -P MainPID $(unit 4)) = 0 ]; do sleep .02; done; systemctl show -P ActiveState $(unit 4); "$D" stop -q 4.pid; pgrep -fx 'sleep 1000'
true
`)
	for name, want := range map[string]string{
		"Description": `detach: sh -c read x; exit 3`, "Type": "exec", "Slice": "detach.slice", "CollectMode": "inactive-or-failed",
		"OOMPolicy": "continue", "TimeoutStartUSec": "30s", "ExitType": "cgroup", "KillMode": "control-group", "IgnoreSIGPIPE": "no",
		"failed": "exit status 3", "at once": "123", "kept": ":\n0", "background": "active",
	} {
		require.Equal(t, want, got[name], name)
	}
}
