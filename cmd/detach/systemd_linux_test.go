package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// inSections runs a shell script in a systemd, with the path of detach as $D,
// and returns what it prints behind each line "== title".
func inSections(t *testing.T, systemd func(testing.TB, ...string) *exec.Cmd, script string) map[string]string {
	t.Helper()
	cmd := systemd(t, "sh", "-c", sectionsPrelude+script, lab.Bin(t, "detach"))
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return sectionsOf(t, out)
}

const sectionsPrelude = `D=$0; say() { echo "== $*"; }; `

func sectionsOf(t *testing.T, out []byte) map[string]string {
	t.Helper()
	t.Logf("%s", out)
	sections := map[string]string{}
	for _, section := range strings.Split(string(out), "== ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		sections[title] = strings.TrimSpace(text)
	}
	return sections
}

// A manager that is a service starts three servers, plainly. Whatever is done
// to the service, they go on and are adopted again; what setsid and daemonize
// have started dies.
func TestSystemdManagerAndItsServers(t *testing.T) {
	lab.Program(t, "daemonize")
	got := inSections(t, lab.Systemd, `
mkdir /run/game
cat >/run/panel <<END
#!/bin/sh
cd /run/game
for n in 1 2 3; do
	if $D status \$n.pid >/dev/null; then
		echo adopted >>panel.log
	else
		$D -p \$n.pid -o \$n.log --console \$n.in --stop-console stop -- \
			sh -c 'while read line; do echo "\$line!"; [ "\$line" != stop ] || exit 0; done' >>panel.out 2>&1
		echo started >>panel.log
	fi
done
if mkdir rivals 2>/dev/null; then
	setsid -f sleep 2001 </dev/null >/dev/null 2>&1
	daemonize /bin/sleep 2002
fi
exec sleep 3000
END
chmod +x /run/panel
cat >/run/systemd/system/panel.service <<END
[Service]
ExecStart=/run/panel
Restart=on-failure
RestartSec=0
END
systemctl daemon-reload
cd /run/game
log() { until [ "$(grep -c $1 panel.log 2>/dev/null)" = $2 ]; do sleep .02; done; }
alive() { for n in 1 2 3; do kill -0 $(cat $n.pid) && echo $(cat $n.pid); done | xargs; }
rivals() { pgrep -fx 'sleep 2001' >/dev/null && echo setsid; pgrep -fx '/bin/sleep 2002' >/dev/null && echo daemonize; true; }
systemctl start panel
log started 3
until pgrep -fx 'sleep 2001' >/dev/null && pgrep -fx '/bin/sleep 2002' >/dev/null; do sleep .02; done
say output; cat panel.out
say before; alive
say rivals before; rivals
systemctl restart panel
log adopted 3
say restarted; alive
say rivals after; rivals
systemctl kill -s KILL panel
log adopted 6
say killed; alive
systemctl stop panel
say stopped; alive
for n in 1 2 3; do $D send $n.pid hello$n; done
for n in 1 2 3; do until grep -q hello$n! $n.log; do sleep .02; done; done
say units; systemctl list-units --plain --no-legend 'detach-*' | wc -l
say stop; $D stop -q 1.pid 2.pid 3.pid; echo $?
say logs; cat 1.log
say left; ls *.pid *.json 2>/dev/null; systemctl list-units --all --plain --no-legend 'detach-*'
`)
	pids := got["before"]
	require.Len(t, strings.Fields(pids), 3)
	require.Equal(t, strings.Fields(pids), strings.Fields(got["output"]), "PIDs and no warning")
	require.Equal(t, "setsid\ndaemonize", got["rivals before"])
	require.Empty(t, got["rivals after"])
	for _, event := range []string{"restarted", "killed", "stopped"} {
		require.Equal(t, pids, got[event], event)
	}
	require.Equal(t, "3", got["units"])
	require.Equal(t, "0", got["stop"])
	require.Equal(t, "hello1!\nstop!", got["logs"])
	require.Empty(t, got["left"])
}

// What ends the unit ends all that it has started, but what detach has.
func TestSystemdEndsTheOthers(t *testing.T) {
	lab.Program(t, "daemonize")
	lab.Program(t, "python3")
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w
cat >panel <<END
#!/bin/sh
$D -q -o /run/w/log -p /run/w/x.pid -- sleep 2003 2>/dev/null
setsid -f sleep 2001 </dev/null >/dev/null 2>&1
daemonize /bin/sleep 2002
until [ -e /run/w/exhaust ]; do sleep .02; done
rm /run/w/exhaust
exec python3 -c 'bytearray(b"x")*(200<<20)'
END
chmod +x panel
cat >/run/systemd/system/panel.service <<END
[Service]
ExecStart=/run/w/panel
MemoryMax=64M
OOMScoreAdjust=1000
END
systemctl daemon-reload
for event in 'systemctl restart panel' 'systemctl stop panel' 'systemctl kill -s KILL panel' 'touch exhaust'; do
	systemctl start panel || exit
	until a=$(pgrep -fx 'sleep 2001') && b=$(pgrep -fx '/bin/sleep 2002'); do sleep .02; done
	main=$(systemctl show -P MainPID panel)
	$event
	until ! kill -0 $main 2>/dev/null; do sleep .02; done
	until [ "$(systemctl is-active panel)" != deactivating ]; do sleep .02; done
	say $event; kill -0 $a 2>/dev/null && echo setsid; kill -0 $b 2>/dev/null && echo daemonize; kill -0 $(cat x.pid) && echo detach
	say result of $event; systemctl show -P Result panel
	"$D" stop -q x.pid; systemctl stop panel; systemctl reset-failed panel 2>/dev/null
done
true
`)
	for _, event := range []string{"systemctl restart panel", "systemctl stop panel", "systemctl kill -s KILL panel", "touch exhaust"} {
		if event == "touch exhaust" && got["result of "+event] == "success" {
			continue // no limit on memory is enforced here
		}
		require.Equal(t, "detach", got[event], event)
	}
}

// How a daemon has ended that left others behind in its unit, systemd still
// knows, when nobody has waited for it.
func TestSystemdKnowsTheEnd(t *testing.T) {
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w
left() { # NAME END: a daemon that ends so, and leaves a process behind
	"$D" --via systemd -p $1.pid -- sh -c "sleep 1001 & while [ ! -e go ]; do sleep .02; done; $2" >/dev/null || exit
	touch go; until ! kill -0 $(cat $1.pid) 2>/dev/null; do sleep .02; done; rm go
}
say exited; left exited 'exit 4'; "$D" status exited.pid | grep -e ^state -e ^ended; "$D" status --json exited.pid | grep -o '"exit":{[^}]*}'; "$D" wait exited.pid; "$D" stop -q exited.pid
say killed; left killed 'kill -11 $$'; "$D" status killed.pid | grep ^ended; "$D" wait killed.pid; "$D" stop -q killed.pid
say another; left another 'exit 5'; sed -i 's/"pid": .*,/"pid": 2,/' another.pid.json; echo 2 >another.pid; "$D" status another.pid | grep ended; "$D" wait another.pid
say all; pkill -fx 'sleep 1001'; left all 'exit 6'; until pkill -fx 'sleep 1001'; [ -z "$(systemctl list-units --all --plain --no-legend 'detach-*')" ]; do sleep .02; done; "$D" wait all.pid; "$D" status all.pid | grep ended; true
`)
	require.Regexp(t, `^state +dead\nended +exit status 4\n"exit":\{"known":true,"code":4\}\nPID file exited\.pid: ended, exit status 4$`, got["exited"])
	require.Regexp(t, `^ended +killed by SIGSEGV.*\nPID file killed\.pid: ended, killed by SIGSEGV`, got["killed"])
	require.NotContains(t, got["another"], "exit status")
	require.Contains(t, got["all"], "it is not known how")
}

// What auto comes to, from how the caller is held.
func TestSystemdAutoChooses(t *testing.T) {
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w
for mode in control-group mixed process none; do
	say $mode
	systemd-run -q --pipe --wait -p KillMode=$mode -p WorkingDirectory=/run/w "$D" -o log -p $mode.pid -- sleep 1000 2>&1 | sed 's/^[0-9]*$/PID/'
	sed -n 's/.*"via": "\(.*\)",/\1/p' $mode.pid.json
	say $mode hazards
	systemd-run -q --pipe --wait -p KillMode=$mode "$D" hazards -o log
done
say scope
systemd-run -q --scope "$D" -o log -p scope.pid -- sleep 1000 >/dev/null
sed -n 's/.*"via": "\(.*\)",/\1/p' scope.pid.json
say forked
systemd-run -q --pipe --wait -p WorkingDirectory=/run/w "$D" --via fork -o log -p fork.pid -- sleep 1000 2>&1 | sed 's/^[0-9]*$/PID/'
sed -n 's/.*"via": "\(.*\)",/\1/p' fork.pid.json
say strict
systemd-run -q --pipe --wait "$D" --via fork --strict -o /run/w/log -p /run/w/strict.pid -- sleep 1001 2>&1; echo status $?; pgrep -fx 'sleep 1001'; ls strict.pid* 2>/dev/null
say strict, and nothing known
systemd-run -q --pipe --wait -p WorkingDirectory=/run/w "$D" --strict -o log -p strict.pid -- sleep 1001 2>&1 | sed 's/^[0-9]*$/PID/'; "$D" stop -q strict.pid
say strict, and a name lost
systemd-run -q --pipe --wait -p WorkingDirectory=/run/w env a.b=c "$D" --strict -o log -p strict.pid -- sleep 1001 2>&1; pgrep -fx 'sleep 1001'; ls strict.pid* 2>/dev/null
say fork hazards
systemd-run -q --pipe --wait -G --unit=panel "$D" hazards --via fork -o log; echo status $?
say json
systemd-run -q --pipe --wait -G --unit=panel "$D" hazards --json
"$D" stop -q *.pid
`)
	for mode, via := range map[string]string{
		"control-group": "systemd", "mixed": "systemd", "process": "fork", "none": "fork", "scope": "systemd",
	} {
		require.Contains(t, got[mode], via, mode)
		require.NotContains(t, got[mode], "warning", mode)
		require.NotContains(t, got[mode+" hazards"], "KillMode=process in", mode)
	}
	require.Contains(t, got["control-group hazards"], "has KillMode=control-group\n")
	require.Contains(t, got["process hazards"], "via: fork\n")
	require.Contains(t, got["forked"], "PID\nfork")
	require.Contains(t, got["strict"], "which has KillMode=control-group: systemctl stop or restart of that unit ends it too")
	require.Contains(t, got["strict"], "\nhint: ")
	require.True(t, strings.HasSuffix(got["strict"], "status 125"), got["strict"])
	require.Equal(t, "PID", got["strict, and nothing known"])
	require.Regexp(t, `^detach: start sleep: .*systemd passes on no such names: a\.b\nhint: .*--via fork$`, got["strict, and a name lost"])
	require.Contains(t, got["fork hazards"], "hazard: it is in the cgroup of panel.service, which has KillMode=control-group")
	require.Contains(t, got["fork hazards"], "hint: set KillMode=process in panel.service, or start it with --via systemd\n")
	require.Contains(t, got["fork hazards"], "status 1")
	require.Contains(t, got["json"], `{"via":"systemd","unit":"panel.service","setting":"KillMode=control-group","hazards":[{"code":"output-lost","text":`)
}

// A service is what the double fork would have made.
func TestSystemdServiceIsLikeAFork(t *testing.T) {
	got := inSections(t, lab.Systemd, `
mkdir -p '/run/a b%n$HOME'; cd '/run/a b%n$HOME'
cat >show <<'END'
#!/bin/sh
echo "$#"; printf '<%s>\n' "$@"
pwd; umask
tr '\0' '\n' </proc/$$/environ | grep -v '^_=' | LC_ALL=C sort
cat /proc/$$/limits /proc/$$/oom_score_adj
grep -E '^(Sig(Blk|Ign|Cgt)|Groups|Cap|NoNewPrivs|Seccomp|Umask|Cpus_allowed)' /proc/self/status
ls -l /proc/$$/fd >fds # not into a pipe, which would be among them
sed -n 's/.* \([0-9]* -> .*\)/\1/p' fds | grep -v '/show$'
cut -d' ' -f7,19 /proc/$$/stat
END
chmod +x show
ulimit -Sn 777; ulimit -c 0; ulimit -Sf 999999
umask 0027
export ODD='a $b %h "c" \d
second	line' EMPTY= LC_ALL=C INVOCATION_ID=mine
for via in fork systemd; do
	rm -f log in
	nice -n 5 "$D" --via $via -o log --console in -p pid --ready alive=0s -E X=1 -- ./show 'a b' '' '$HOME ${X} %n %%' "it's \"\\x41" 'two
lines' '--' ü '-' '!x' '@y' ';' >out 2>err
	"$D" wait pid >/dev/null 2>&1
	sed "s/pid$via/PID/" log >$via
	say $via; cat $via err
	rm -f pid pid.json
done
say difference
diff fork systemd && echo none
say odd names
env 'BASH_FUNC_x%%=() { :; }' 'a.b=c' "$D" --via systemd -p pid -- sleep 1000 2>&1 | sed 's/^[0-9]*$/PID/'
tr '\0' '\n' </proc/$(cat pid)/environ | grep -c -F -e BASH_FUNC -e a.b=
"$D" stop -q pid
say bytes
env "$(printf 'BYTES=\377')" "$D" --via systemd -- sleep 1000; echo $?
"$D" --via systemd -- sleep "$(printf '\377')"; echo $?
`)
	require.Equal(t, "none", got["difference"])
	require.Contains(t, got["systemd"], "/run/a b%n$HOME\n0027\n")
	require.Contains(t, got["systemd"], "X=1\n")
	require.NotContains(t, got["systemd"], "SYSTEMD_EXEC_PID")
	require.Contains(t, got["odd names"], "detach: warning: not in its environment, because systemd passes on no such names: ")
	require.Contains(t, got["odd names"], "BASH_FUNC_x%%")
	require.True(t, strings.HasSuffix(got["odd names"], "PID\n0"), got["odd names"])
	require.Equal(t, "detach: environment BYTES: is not UTF-8, which D-Bus does not pass on\n125\n"+
		`detach: argument "\xff": is not UTF-8, which D-Bus does not pass on`+"\n125", got["bytes"])
}

// silentBus is a bus that accepts and never says a word.
const silentBus = `
silent() { # PATH
	mkfifo up
	python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
s.listen(9)
print(flush=True)
kept = []
while True:
    kept.append(s.accept())' "$1" >up &
	read line <up
}
`

// A root whose bus is dead reaches systemd directly. Where that is gone too, or
// says no, auto forks and tells what remains of the danger; never both.
func TestSystemdOutOfReach(t *testing.T) {
	got := inSections(t, lab.Systemd, silentBus+`
mkdir /run/w; cd /run/w
try() { # MARK NAME FLAG...
	mark=$1 name=$2; shift 2
	say $name
	"$D" "$@" -p $mark.pid -o log -- sleep $mark >out 2>err; echo status $?
	cat err; sed -n 's/.*"via": "\(.*\)",/\1/p' $mark.pid.json 2>/dev/null
	echo $(pgrep -fx "sleep $mark" | wc -l) run
	"$D" stop -q $mark.pid
}
silent /run/w/silent
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/w/none
try 1000 dead
DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/w/silent
try 1001 silent
mv /run/systemd/private /run/systemd/private.away
DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/w/none
try 1002 all-dead
try 1003 all-dead-systemd --via systemd
try 1004 all-dead-strict --strict
DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/w/silent
try 1005 all-silent
unset DBUS_SYSTEM_BUS_ADDRESS
cat >/etc/dbus-1/system.d/refuse.conf <<'END'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><policy user="root">
<deny send_destination="org.freedesktop.systemd1" send_interface="org.freedesktop.systemd1.Manager" send_member="StartTransientUnit"/>
</policy></busconfig>
END
busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
try 1006 refused
try 1007 refused-systemd --via systemd
try 1010 refused-strict --strict
sed -i 's/ send_interface=.*/\/>/' /etc/dbus-1/system.d/refuse.conf
busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
try 1008 forbidden
try 1009 forbidden-systemd --via systemd
rm /etc/dbus-1/system.d/refuse.conf
busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
`)
	for _, name := range []string{"dead", "silent"} {
		require.Equal(t, "status 0\nsystemd\n1 run", got[name], name)
	}
	const danger = `detach: warning: it is in the cgroup of sdtest-cmd\.service`
	for name, why := range map[string]string{
		"all-dead":   `unless that has KillMode=process, which could not be asked \(/run/w/none: .*no such file or directory; /run/systemd/private: .*no such file or directory\)`,
		"all-silent": `unless that has KillMode=process, which could not be asked \(/run/w/silent: no answer within 5s; /run/systemd/private: .*\)`,
		"refused":    `which has KillMode=control-group: systemctl stop or restart of that unit ends it too; it is no service of its own because: .*`,
	} {
		require.Regexp(t, `(?s)^status 0\n`+danger+`[,:] ?.*`+why+`.*\nhint: set KillMode=process in sdtest-cmd.service, or start it with --via systemd\nfork\n1 run$`, got[name], name)
	}
	require.Regexp(t, `^status 125\ndetach: via systemd: /run/w/none: .*\nhint: .*\n0 run$`, got["all-dead-systemd"])
	for _, name := range []string{"all-dead-strict", "refused-strict"} {
		require.Regexp(t, `^status 125\ndetach: start sleep: it is in the cgroup of sdtest-cmd\.service.*\nhint: .*\n0 run$`, got[name])
	}
	const forbidden = `/run/dbus/system_bus_socket: .*member="Get".*`
	require.Regexp(t, `^status 0\n`+danger+`: unless that has KillMode=process, which could not be asked \(`+forbidden+`\).*\nhint: .*\nfork\n1 run$`, got["forbidden"])
	require.NotContains(t, got["forbidden"]+got["forbidden-systemd"], "/run/systemd/private")
	require.Regexp(t, `^status 125\ndetach: via systemd: `+forbidden+`\nhint: .*\n0 run$`, got["forbidden-systemd"])
	require.Regexp(t, `^status 125\ndetach: start detach-1007-[0-9a-f]+\.service: .*StartTransientUnit.*\n0 run$`, got["refused-systemd"])
}

// An ordinary user has a systemd of his own if he lingers.
func TestSystemdOfAUser(t *testing.T) {
	got := inSections(t, lab.UnifiedSystemd, silentBus+`
useradd -m -u 4711 panel
mkdir -m 777 /run/w; cd /run/w
as() { systemd-run -q --pipe --wait -G --unit=panel -p User=panel -p WorkingDirectory=/run/w -E XDG_RUNTIME_DIR=/run/user/4711 "$@" 2>&1; }
via() { sed -n 's/.*"via": "\(.*\)",/\1/p' $1.pid.json; }
say not lingering
as "$D" -o log1 -p 1.pid -- sleep 1001 | sed 's/^[0-9]*$/PID/'; via 1
say not lingering, hazards
as "$D" hazards -o log; echo status $?
say not lingering, systemd
as "$D" --via systemd -o log -p 0.pid -- sleep 1000; echo status $?
loginctl enable-linger panel
until [ "$(systemctl is-active user@4711)" = active ]; do sleep .02; done
say lingering
as "$D" -o log2 -p 2.pid -- sleep 1002 | sed 's/^[0-9]*$/PID/'; via 2
say cgroup; tail -n1 /proc/$(cat 2.pid)/cgroup
say owner; stat -c %U /proc/$(cat 2.pid)
say environment; as sh -c 'for via in fork systemd; do "$0" --via $via -p e.pid -- sleep 1003 >/dev/null; tr "\0" "\n" </proc/$(cat e.pid)/environ | LC_ALL=C sort >$via; "$0" stop -q e.pid; done; diff fork systemd && echo same' "$D"
say verify; as "$D" verify 2.pid; echo status $?
say status; as "$D" status 2.pid | grep -e state -e via
say again; as "$D" -p 2.pid -- sleep 1002; echo status $?
say stop; as "$D" stop 2.pid; echo status $?
say left; ls 2.pid* 2>/dev/null; pgrep -fx 'sleep 1002'
say the bus is gone
mv /run/user/4711/bus /run/user/4711/bus.away
as "$D" -o log3 -p 3.pid -- sleep 1003 | sed 's/^[0-9]*$/PID/'; via 3
as "$D" stop -q 3.pid
say the bus hangs
mv /run/user/4711/systemd/private /run/user/4711/private.away
silent /run/user/4711/bus
as sh -c '"$0" -o log5 -p 5.pid -- sleep 1005; echo run $(pgrep -fx "sleep 1005" | wc -l)' "$D" | sed 's/^[0-9]*$/PID/'; via 5
rm /run/user/4711/bus; mv /run/user/4711/bus.away /run/user/4711/bus; mv /run/user/4711/private.away /run/user/4711/systemd/private
say the bus refuses
cat >/etc/dbus-1/session.d/refuse.conf <<'END'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><policy context="mandatory">
<deny send_destination="org.freedesktop.systemd1" send_interface="org.freedesktop.systemd1.Manager" send_member="StartTransientUnit"/>
</policy></busconfig>
END
as busctl --user call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
as sh -c '"$0" -o log6 -p 6.pid -- sleep 1006; echo run $(pgrep -fx "sleep 1006" | wc -l)' "$D" | sed 's/^[0-9]*$/PID/'; via 6
rm /etc/dbus-1/session.d/refuse.conf
as busctl --user call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
as "$D" stop -q 5.pid 6.pid
say its own units
for mode in process control-group; do as systemd-run --user -q --pipe --wait -p KillMode=$mode "$D" hazards -o /dev/null | head -n 1; done
say its systemd is stopped
as "$D" -o log4 -p 4.pid -- sleep 1004 >/dev/null
loginctl disable-linger panel
until [ "$(systemctl is-active user@4711)" = inactive ]; do sleep .02; done
as "$D" status 4.pid | grep state
`)
	const linger = "or give its user a systemd that stays: loginctl enable-linger 4711"
	require.Regexp(t, `(?s)^detach: warning: it is in the cgroup of panel\.service, which has KillMode=control-group: .*; it is no service of its own because: /run/user/4711/bus: .*\nhint: set KillMode=process in panel\.service, `+linger+`\nPID\nfork$`, got["not lingering"])
	require.Contains(t, got["not lingering, hazards"], linger)
	require.Regexp(t, `^detach: via systemd: /run/user/4711/bus: .*\nhint: .*loginctl enable-linger 4711\nstatus 125$`, got["not lingering, systemd"])
	require.Equal(t, "PID\nsystemd", got["lingering"])
	require.Regexp(t, `^0::/user\.slice/user-4711\.slice/user@4711\.service/detach\.slice/detach-2-[0-9a-f]{16}\.service$`, got["cgroup"])
	require.Equal(t, "panel", got["owner"])
	require.Equal(t, "same", got["environment"])
	require.Contains(t, got["verify"], "session leader, as systemd starts its services")
	require.Contains(t, got["verify"], "status 0")
	require.Regexp(t, `state +running\nvia +systemd: detach-2-[0-9a-f]+\.service`, got["status"])
	require.Regexp(t, `already running as PID \d+\n(.*\n)?status 125`, got["again"])
	require.Regexp(t, `stopped in .*\nstatus 0$`, got["stop"])
	require.Empty(t, got["left"])
	require.Equal(t, "PID\nsystemd", got["the bus is gone"], "by its own socket")
	const danger = `(?s)^detach: warning: it is in the cgroup of panel\.service, which has KillMode=control-group: .*; it is no service of its own because: `
	require.Regexp(t, danger+`.*/run/user/4711/bus: no answer within 5s.*\nhint: .*\nPID\nrun 1\nfork$`, got["the bus hangs"])
	require.Regexp(t, danger+`.*StartTransientUnit.*\nhint: .*\nPID\nrun 1\nfork$`, got["the bus refuses"])
	require.Regexp(t, `^via: fork\nvia: systemd, because run-u\d+\.service has KillMode=control-group$`, got["its own units"])
	require.Regexp(t, `state +dead`, got["its systemd is stopped"])
}

// Where logind kills what a session has left, a user who lingers has a systemd
// that holds it; a user who does not is told.
func TestSystemdLoginSession(t *testing.T) {
	got := inSections(t, lab.UnifiedSystemd, `
useradd -m -u 4711 panel
mkdir -m 777 /run/w; cd /run/w
user=panel
session() { systemd-run -q --pipe --wait -G -p PAMName=login -p User=$user -p WorkingDirectory=/run/w "$@" 2>&1; }
say kept, no kill; session "$D" -o log -p 0.pid -- sleep 1000 | sed 's/^[0-9]*$/PID/'; grep -o '"via": .*' 0.pid.json
mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\nKillUserProcesses=yes\nUserStopDelaySec=0\n' >/etc/systemd/logind.conf.d/kill.conf
systemctl restart systemd-logind
say hazards; session "$D" hazards -o log; echo status $?
say logged in, not lingering
useradd -m -u 4712 guest; user=guest
session "$D" -o log7 -p 7.pid -- sleep 1007 | sed 's/^[0-9]*$/PID/'; grep -o '"via": .*' 7.pid.json
user=panel
until ! pgrep -fx 'sleep 1007' >/dev/null; do sleep .02; done; echo ended
again() { systemctl reset-failed systemd-logind; systemctl restart systemd-logind; }
for users in KillOnlyUsers=root KillExcludeUsers=panel KillOnlyUsers=panel; do
	printf "[Login]\nKillUserProcesses=yes\n$users\n" >/etc/systemd/logind.conf.d/zusers.conf; again
	say $users; session "$D" hazards -o log | head -n 1
done
rm /etc/systemd/logind.conf.d/zusers.conf; again
loginctl enable-linger panel
until [ "$(systemctl is-active user@4711)" = active ]; do sleep .02; done
say started; session sh -c '
	"$0" -o log -p 1.pid -- sleep 1001
	"$0" --via fork -o log -p 2.pid -- sleep 1002
	"$0" verify 2.pid >verified' "$D" | sed 's/^[0-9]*$/PID/'
until ! pgrep -fx 'sleep 1002' >/dev/null; do sleep .02; done
say verified; grep cgroup verified
say after the logout; pgrep -af '^sleep 100' | cut -d' ' -f2-
say root in a session; cp /usr/bin/setpriv /opt/sudo; chmod 4755 /opt/sudo
session /opt/sudo --reuid=0 --regid=0 --clear-groups sh -c 'id -u; "$0" hazards -o log; "$0" -o log -p 5.pid -- sleep 1005; "$0" --via fork -o log -p 6.pid -- sleep 1006; "$0" verify 6.pid | grep ^hazard.*cgroup' "$D" | sed 's/^[0-9][0-9]*$/N/'
until ! pgrep -fx 'sleep 1006' >/dev/null; do sleep .02; done; pgrep -af '^sleep 1005'  | cut -d' ' -f2-; grep -o '"via": .*' 5.pid.json
say as root; systemd-run -q --pipe --wait -G -p PAMName=login -p User=root -p WorkingDirectory=/run/w "$D" -o log -p 3.pid -- sleep 1003 2>&1 | sed 's/^[0-9]*$/PID/'; grep -o '"via": .*' 3.pid.json
`)
	require.Equal(t, "PID\n\"via\": \"fork\",", got["kept, no kill"])
	require.Regexp(t, `^via: systemd, because session-\d+\.scope has KillUserProcesses=yes\nhazard: it is below user@4711\.service, the systemd of its user, who does not linger: the last logout ends it\n  hint: loginctl enable-linger 4711\n`, got["hazards"])
	require.Equal(t, "detach: warning: it is below user@4712.service, the systemd of its user, who does not linger: the last logout ends it\n"+
		"hint: loginctl enable-linger 4712\nPID\n\"via\": \"systemd\",\nended", got["logged in, not lingering"])
	require.Equal(t, "via: fork", got["KillOnlyUsers=root"])
	require.Equal(t, "via: fork", got["KillExcludeUsers=panel"])
	require.Regexp(t, `^via: systemd, because session-`, got["KillOnlyUsers=panel"])
	require.Equal(t, "PID\nPID", got["started"])
	require.Regexp(t, `^hazard: it is in the cgroup of session-\d+\.scope together with .*, and logind has KillUserProcesses=yes: the logout ends it too\n`, got["verified"])
	require.Equal(t, "sleep 1000\nsleep 1001", got["after the logout"], "that of before, and the service")
	require.Regexp(t, `^N\nvia: systemd, because session-\d+\.scope has KillUserProcesses=yes\nno hazards are known\nN\nN\nhazard: it is in the cgroup of session-\d+\.scope together with .*: the logout ends it too\nsleep 1005\n"via": "systemd",$`, got["root in a session"], "who is not spared")
	require.Equal(t, "PID\n\"via\": \"fork\",", got["as root"], "whom logind spares")
}
