package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// reloadFunctions are for scripts in which systemd reads its unit files again,
// as it does after the installation of most packages.
const reloadFunctions = `
again() { # PID FILE: waits for another process
	until new=$("$D" status --json $2 2>/dev/null | sed -n 's/.*"pid":\([0-9]*\),.*/\1/p') && [ -n "$new" ] && [ "$new" != "$1" ] && kill -0 $new; do
		case $("$D" status $2 2>&1) in *dead*) echo "it was given up"; systemctl status 'detach-*' | head -n 5; exit 1;; esac
		sleep .05
	done
}
born() { # PID: what the process was given; a shell has opened the script, and a console
	tr '\0' '\n' </proc/$1/cmdline; readlink /proc/$1/exe /proc/$1/cwd /proc/$1/fd/0 /proc/$1/fd/1
	tr '\0' '\n' </proc/$1/environ | LC_ALL=C sort
	grep -v -e processes /proc/$1/limits; grep -E '^(Sig(Blk|Ign|Cgt)|Groups|Cap|Umask)' /proc/$1/status
}
stopped() { # while somebody waits for its end
	"$D" wait p.pid >waited & until ls -l /proc/$!/fd 2>/dev/null | grep -q pidfd; do kill -0 $! || exit 1; sleep .02; done
	"$D" stop p.pid >stopped || cat stopped; wait
}
left() { ls *.pid* 2>/dev/null; systemctl list-units --all --plain --no-legend 'detach-*'; ls /run/systemd/system | grep detach-; ls /run/systemd/transient | grep detach-; pgrep -fa -- "$1" | grep -v -e sdtest -e "^$$ "; true; }
`

// What systemd has read again it starts again all the same, however odd the
// words, and every verb works on.
func TestSystemdRestartAfterReload(t *testing.T) {
	got := inSections(t, lab.Systemd, reloadFunctions+`
mkdir '/run/a b%n$HOME;"\x'; cd '/run/a b%n$HOME;"\x'
cat >show <<'END'
#!/bin/sh
echo up
while read line; do echo "$line!"; [ "$line" != stop ] || exit 0; done
read line <hold # and no other process: to start one the shell blocks signals, which are looked at
END
chmod +x show; mkfifo hold
ln -s "$PWD/show" "it's a \\show"
export TEXT='a $b %h "c" \d
second	line é'
plain() { "$D" --restart on-failure -p p.pid -- sleep 72001; }
odd() { "$D" --restart always -o 'l o%g"$' -p p.pid -- sh -c 'echo up "$@"; read line <hold # 72001' 'a b' '' '$HOME ${X} %n %%' "it's \"\\x41" 'two
lines' '--' ü '-' '!x' '@y' ';' 'tab	' '\' '$$' 'a;b'; }
quoted() { "$D" --restart always -o log -p p.pid -- "./it's a \\show" '$1;' 72001; }
console() { "$D" --restart always -o log --console 'con sole' --stop-console stop -p p.pid -- ./show '$1;' 72001; }
for kind in plain odd quoted console; do
	for event in daemon-reload daemon-reexec; do
		old=$($kind) || exit; until [ $kind = plain ] || [ -s l* ]; do sleep .02; done; born $old >was
		systemctl $event
		kill -9 $old; again $old p.pid; until [ $kind = plain ] || [ $(grep -c ^up l*) = 2 ]; do sleep .02; done; born $new >is
		say $kind $event difference; diff was is && echo none
		say $kind $event; [ $(cat p.pid) = $new ] && echo named
		systemctl show -P LoadState 'detach-*'
		"$D" status p.pid | grep -o running
		"$D" -p p.pid -- sleep 1000 2>&1 | grep -o 'already running'
		[ $kind != console ] || "$D" send p.pid hello
		stopped; grep -o 'ended, .*' waited
		say $kind $event left; left 72001; rm -f l*
	done
done
`)
	for _, kind := range []string{"plain", "odd", "quoted", "console"} {
		ended := "ended, killed by SIGTERM"
		if kind == "console" {
			ended = "ended, exit status 0"
		}
		for _, event := range []string{"daemon-reload", "daemon-reexec"} {
			require.Equal(t, "none", got[kind+" "+event+" difference"], "%s %s", kind, event)
			require.Regexp(t, `^named\nloaded\nrunning\nalready running\n`+ended+`$`, got[kind+" "+event], "%s %s", kind, event)
			require.Empty(t, got[kind+" "+event+" left"], "%s %s", kind, event)
		}
	}
}

// What runs, and is not to be started again, is looked after as before. A command
// of plain words systemd has read again without a complaint.
func TestSystemdReloadWhileItRuns(t *testing.T) {
	got := inSections(t, lab.Systemd, reloadFunctions+`
mkdir /run/w; cd /run/w
say words; for word in 'a b' '' ' ' _@+=:,./-ZaZ09 \
ü '$1' % ';' '"' "'" '\' 'two
lines'; do
	"$D" --via systemd -p p.pid -- sh -c 'exec sleep 72002' "$word" >/dev/null || exit
	systemctl daemon-reload; systemctl show -P LoadState -P ActiveState 'detach-*' | xargs; "$D" stop -q p.pid
done
for kind in plain odd; do
	for event in daemon-reload daemon-reexec; do
		[ $kind = plain ] && set -- cat || set -- sh -c 'while read line; do echo "$line"; done'
		pid=$("$D" --via systemd -o log --console in -p p.pid -- "$@") || exit
		systemctl $event
		say $kind $event; "$D" status p.pid | grep -o -e running
		"$D" send p.pid hello && until grep -q hello log; do "$D" status p.pid >/dev/null || exit; sleep .02; done
		"$D" -p p.pid -- sleep 1000 2>&1 | grep -o 'already running'
		stopped; cat waited
		say $kind $event left; left 72002; rm -f log
	done
done
`)
	loaded, bad := strings.Repeat("loaded active\n", 4), strings.Repeat("bad-setting active\n", 8)
	require.Equal(t, loaded+bad, got["words"]+"\n", "only with those of the second line it matters what systemd has not read")
	for _, kind := range []string{"plain", "odd"} {
		for _, event := range []string{"daemon-reload", "daemon-reexec"} {
			require.Equal(t, "running\nalready running\nPID file p.pid: ended, killed by SIGTERM", got[kind+" "+event])
			require.Empty(t, got[kind+" "+event+" left"])
		}
	}
}

// A server that ends until its database is there is started again for as long as
// that takes.
func TestSystemdRestartGoesOn(t *testing.T) {
	got := inSections(t, lab.Systemd, reloadFunctions+unitFunctions+`
mkdir /run/w; cd /run/w
old=$("$D" --restart on-failure -p p.pid -- sleep 72003) || exit
name=$(sed -n 's/.*"unit": "\(.*\)",/\1/p' p.pid.json)
# So that the test does not take a second for each.
mkdir -p /run/systemd/system/$name.d; printf '[Service]\nRestartSec=0\n' >/run/systemd/system/$name.d/soon.conf; systemctl daemon-reload
say often; for n in 1 2 3 4 5 6 7 8 9; do kill -9 $old; again $old p.pid; old=$new; done; "$D" status p.pid | grep -o running
say stop; "$D" stop -q p.pid; echo $?
say theirs; ls /run/systemd/system/$name.d; rm -r /run/systemd/system/$name.d
say left; left 72003
say unit; unit server --restart on-failure -- sleep 72004
printf '[Service]\nRestartSec=0\n' >soon; mkdir /run/systemd/system/server.service.d; cp soon /run/systemd/system/server.service.d/soon.conf; systemctl daemon-reload
systemctl start server; old=$(systemctl show -P MainPID server)
for n in 1 2 3 4 5 6 7 8 9; do
	kill -9 $old
	until new=$(systemctl show -P MainPID server) && [ $new != 0 ] && [ $new != $old ]; do ! systemctl is-failed -q server || exit; sleep .02; done; old=$new
done
until systemctl is-active -q server; do ! systemctl is-failed -q server || exit; sleep .02; done; echo active
`)
	require.Equal(t, "running", got["often"])
	require.Equal(t, "0", got["stop"])
	require.Equal(t, "soon.conf", got["theirs"])
	require.Empty(t, got["left"])
	require.Equal(t, "active", got["unit"])
}

// What tells systemd the command is there as long as the unit of it, or is gone
// with the next look or start.
func TestSystemdDropIn(t *testing.T) {
	got := inSections(t, lab.Systemd, reloadFunctions+`
mkdir /run/w; cd /run/w
dropins() { ls -d /run/systemd/system/detach-*.d 2>/dev/null | wc -l; }
ended() { # leaves the drop-in of a daemon that has ended by itself
	"$D" --restart on-failure -p p.pid --console in -- sh -c 'read x' '$' >/dev/null || exit
	unit=$(sed -n 's/.*"unit": "\(.*\)",/\1/p' p.pid.json); chmod 700 .
	"$D" send p.pid end; until [ "$(systemctl show -P ActiveState $unit)" = inactive ]; do sleep .02; done
	dropins
}
runs() { until tr '\0' ' ' </proc/$(cat p.pid)/cmdline | grep '^sleep'; do "$D" status p.pid >/dev/null || exit; sleep .02; done; }
say mode; (umask 077; "$D" --restart always -p p.pid -- sh -c 'exec sleep 72005' '$' >/dev/null); stat -c %a /run/systemd/system/detach-*.d/*; "$D" stop -q p.pid; dropins
say status; ended; "$D" status p.pid >/dev/null; dropins; "$D" stop -q p.pid
say stop; ended; "$D" stop -q p.pid; dropins
say fork; ended; "$D" --via fork -p p.pid -- sleep 72005 >/dev/null; dropins; "$D" stop -q p.pid
say systemd; ended; "$D" --via systemd -p p.pid -- sleep 72005 >/dev/null; runs; dropins; "$D" stop -q p.pid
say plain; ended; "$D" --restart always -p p.pid -- sleep 72006 >/dev/null; runs; dropins; "$D" stop -q p.pid
say other; ended; "$D" --restart always -p p.pid -- sh -c 'exec sleep 72007' '$$' >/dev/null; runs; dropins; "$D" stop -q p.pid
say not executed; printf '\177ELF' >bad; chmod +x bad; "$D" --restart always -p p.pid -- ./bad '$' 2>&1; echo $?; dropins
say not ready; "$D" --restart always -p p.pid --ready alive=1m -- sh -c 'exit 3' '$' 2>&1; echo $?; dropins
say refused; "$D" --restart always -p p.pid -- sh -c 'exec sleep 72008' '$' >/dev/null; rm p.pid p.pid.json; cp /run/systemd/system/detach-*.d/exec.conf was
"$D" --restart always -p p.pid -- sh -c 'exec sleep 72009' '$' 2>&1; echo $?; cmp was /run/systemd/system/detach-*.d/exec.conf && echo untouched
systemctl stop 'detach-*'; "$D" --via systemd -p p.pid -- sleep 72005 >/dev/null; "$D" stop -q p.pid; dropins
say nameless; nameless() { "$D" --restart on-failure --console in -- "$@" '$' >/dev/null || exit; }
aged() { touch -d '2 hours ago' /run/systemd/system/detach-*.d/exec.conf; }
running() { systemctl list-units --plain --no-legend --state=active,activating 'detach-*' | wc -l; }
nameless sh -c 'read x'; nameless sh -c 'exec sleep 72012'; aged; nameless sh -c 'read x'; dropins
for x in 1 2; do echo >in; done; until [ $(running) = 1 ]; do sleep .02; done
nameless sh -c 'exec sleep 72012'; dropins; running
systemctl stop 'detach-*'; aged; "$D" --restart always -p p.pid -- sh -c 'exec sleep 72012' '$' >/dev/null; dropins; "$D" stop -q p.pid; dropins; rm in
say link; mkdir -p theirs; : >theirs/exec.conf; ln -s /run/w/theirs /run/systemd/system/$unit.d; "$D" --restart always -p p.pid -- sh -c 'exec sleep 72010' '$' 2>&1; echo $?; ls -A -s theirs; rm /run/systemd/system/$unit.d
say path; mkdir 'back\'; for dir in 'back\' .; do "$D" -C "$dir" --restart always -p /run/w/p.pid -o 'new
line' -- sleep 72011 2>&1; echo $?; done
say left; left 720; rm -f p.pid*
`)
	require.Equal(t, "644\n0", got["mode"])
	for _, how := range []string{"status", "stop", "fork"} {
		require.Equal(t, "1\n0", got[how], how)
	}
	require.Equal(t, "1\nsleep 72005 \n0", got["systemd"])
	require.Equal(t, "1\nsleep 72006 \n0", got["plain"])
	require.Equal(t, "1\nsleep 72007 \n1", got["other"])
	require.Regexp(t, `^detach: exec ./bad: exec format error\nhint: .*\n126\n0$`, got["not executed"])
	require.Regexp(t, `^detach: start /usr/bin/sh: ended before it was ready: exit status 3\nhint: .*\n123\n0$`, got["not ready"])
	require.Regexp(t, `^detach: start with p.pid: already running as PID \d+\nhint: .*\n125\nuntouched\n0$`, got["refused"])
	require.Equal(t, "3\n3\n2\n1\n0", got["nameless"], "the old one that had ended goes with the next start, and in the end all")
	require.Regexp(t, `^detach: write /run/systemd/system/detach-p-[0-9a-f]{16}.service.d/exec.conf: not a directory\n125\ntotal 0\n0 exec.conf$`, got["link"])
	require.Equal(t, "detach: write /run/w/back\\: WorkingDirectory= of a unit file cannot say this path\n125\n"+
		`detach: write "/run/w/new\nline": StandardOutput= of a unit file cannot say this path`+"\n125", got["path"])
	require.Empty(t, got["left"])
}
