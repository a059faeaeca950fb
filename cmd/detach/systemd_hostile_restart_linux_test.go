package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// What systemd starts again meets what has been made of its files since.
func TestSystemdRestartAmongHostiles(t *testing.T) {
	got := inSections(t, lab.Systemd, `
useradd -m -u 4711 mc
mkdir -m 755 /run/w; cd /run/w; mkdir mine root; chown mc mine; echo secret >root/secret; chmod 600 root/secret
again() { until new=$("$D" status --json $2 2>/dev/null | sed -n 's/.*"pid":\([0-9]*\),.*/\1/p') && [ -n "$new" ] && [ "$new" != "$1" ] && kill -0 $new; do sleep .05; done; }

say links; old=$("$D" --user mc --restart always -C mine -o log -e errors -p /run/w/a.pid -- sh -c 'echo hello; sleep 1000') || exit
until grep -q hello mine/log; do sleep .02; done; stat -c '%U %a' mine/log
rm mine/log mine/errors; ln -s /run/w/root/evil mine/log; ln -s /run/w/root/secret mine/errors; kill -9 $old
until [ "$(systemctl show -P NRestarts 'detach-a-*')" -ge 2 ] || [ -e root/evil ]; do sleep .02; done; "$D" stop -q a.pid; echo $?; ls root; cat root/secret
say output; "$D" --user mc --restart always -p a.pid -- sleep 1001 2>&1 >roots; echo $?
say input; ln -s /run/w/root/secret mine/in
for how in '--via fork' '--via systemd' ''; do "$D" $how --user mc -C mine -i in -o out -p /run/w/b.pid -- cat 2>&1; echo $?; done; cat mine/out 2>/dev/null
echo open >mine/plain; chmod 644 mine/plain; "$D" --user mc -C mine -i plain -o out -p /run/w/b.pid --ready alive=0s -- sh -c 'cat; sleep 1000' >/dev/null; until grep -q open mine/out; do sleep .02; done; cat mine/out; "$D" stop -q b.pid
say restarted input; "$D" --user mc --restart always -C mine -i plain -o out2 -p /run/w/b.pid -- sh -c 'cat; sleep 1000' >/dev/null; until grep -q open mine/out2; do sleep .02; done; cat mine/out2; "$D" stop -q b.pid

say console; old=$("$D" --restart always --console in --stop-console stop -o clog -p c.pid -- sh -c 'echo up; read line; echo "got $line"; exec sleep 1000'); until grep -q up clog; do sleep .02; done
rm in; kill -9 $old; again $old c.pid; until [ $(grep -c up clog) = 2 ]; do sleep .02; done; stat -c %F in; "$D" send c.pid hello; until grep -q 'got hello' clog; do sleep .02; done; "$D" stop -q --signal TERM c.pid; echo $?

say loop; cp /bin/sleep prog; old=$("$D" --restart always -o dlog -p d.pid -- ./prog 1000); printf '#!/bin/sh\nexit 7\n' >other; chmod +x other; mv other prog; kill -9 $old
until [ "$(systemctl show -P NRestarts 'detach-d-*')" -ge 2 ]; do sleep .02; done
until "$D" status d.pid 2>&1 | grep -o 'again and again'; do :; done; until "$D" -p d.pid -- sleep 1001 2>&1 | grep -o 'again and again'; do :; done # it is up for moments
until "$D" status d.pid 2>&1 | grep -q 'again and again'; do :; done; "$D" wait --timeout 1ms d.pid 2>&1; echo $?
"$D" stop d.pid >stopped; echo $?; grep -o '[(].*' stopped; ls d.pid* 2>/dev/null; systemctl list-units --all --plain --no-legend 'detach-d-*'; ls -d /run/systemd/system/detach-* 2>/dev/null

say copied; mkdir srv; old=$("$D" --restart always -C srv -p s.pid -o log -- sleep 1002); cp -a srv copy; "$D" stop -q srv/s.pid; "$D" --restart always -C srv -p s.pid -o log -- sleep 1003 >/dev/null
"$D" status copy/s.pid | grep -o dead; "$D" stop -q copy/s.pid; kill -0 $(cat srv/s.pid) && echo runs; "$D" stop -q srv/s.pid

true
`)
	require.Equal(t, "mc 640\n0\nsecret\nsecret", got["links"])
	require.Regexp(t, `^detach: open /run/w/roots: is there already and not the user's\nhint: .*\n125$`, got["output"])
	require.Equal(t, "detach: open mine/in: permission denied\n125\ndetach: open mine/in: permission denied\n125\ndetach: open mine/in: permission denied\n125\nopen", got["input"])
	require.Equal(t, "open", got["restarted input"])
	require.Equal(t, "fifo\n0", got["console"])
	require.Equal(t, "again and again\nagain and again\ndetach: wait for PID file d.pid: still runs\n124\n0\n(SIGTERM)", got["loop"])
	require.Equal(t, "dead\nruns", got["copied"])
}

// A user's files stay the user's when root looks.
func TestSystemdRestartIsTheUsers(t *testing.T) {
	got := inSections(t, lab.UnifiedSystemd, `
useradd -m -u 4711 panel; loginctl enable-linger panel
until [ "$(systemctl is-active user@4711)" = active ]; do systemctl is-failed -q user@4711 && exit 1; sleep .02; done
as() { systemd-run -q --pipe --wait -G -p User=panel -p WorkingDirectory=/home/panel "$@" 2>&1; }
cd /home/panel
old=$(as "$D" --restart always -p a.pid -o log -- sh -c 'echo up; exec sleep 1000') || exit
until grep -q up log; do sleep .02; done; kill -9 $old; until [ $(grep -c up log) = 2 ]; do sleep .02; done
say root; (umask 077; until "$D" status a.pid | grep -o running; do sleep .02; done); stat -c '%U %a' a.pid a.pid.json
say user; as "$D" status a.pid | grep -o running; as "$D" stop -q a.pid; echo $?; ls a.pid* 2>/dev/null; true
`)
	require.Equal(t, "running\npanel 644\npanel 644", got["root"])
	require.Equal(t, "running\n0", got["user"])
}
