package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// A unit file gives a program what detach gives it, however odd its words are,
// and systemd-analyze finds nothing to say about it.
func TestUnitFile(t *testing.T) {
	got := inSections(t, lab.Systemd, unitFunctions+`
mkdir '/run/a b%n$HOME'; cd '/run/a b%n$HOME'
cat >show <<'END'
#!/bin/sh
echo "$#"; printf '<%s>\n' "$@"
pwd; umask
grep -E 'open files|core file' /proc/$$/limits; cat /proc/$$/oom_score_adj
grep -E '^(Sig(Blk|Ign|Cgt)|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Umask)' /proc/self/status
ls -l /proc/$$/fd >fds # not into a pipe, which would be among them
sed -n 's/.* \([0-9]* -> .*\)/\1/p' fds | grep -v '/show$'
cut -d' ' -f19 /proc/$$/stat
tr '\0' '\n' </proc/$$/environ | LC_ALL=C sort >environment
echo "$TEXT"; echo shown
exec sleep 1000
END
chmod +x show
cp show "it's a \\show"
shown() { until grep -q shown log; do sleep .02; done; grep -v shown log; rm -f log fds; }
umask 0027
export TEXT='a $b %h "c" \d
second	line é'
for program in ./show "./it's a \\show"; do
	set -- -o log --umask 037 --nice 5 --oom-score-adj 300 --rlimit nofile=1000:2000 --rlimit core=0 -- "$program" 'a b' '' '$HOME ${X} %n %%' "it's \"\\x41" 'two
lines' '--' ü '-' '!x' '@y' ';' 'tab	' '\'
	chmod 777 .; "$D" --via systemd -p pid "$@" >/dev/null; shown >detach; "$D" stop -q pid
	unit odd -E TEXT="$TEXT" "$@"; systemctl start odd || exit; shown >unit; systemctl stop odd
	say difference $program; diff detach unit && echo none
	say lines $program; wc -l <unit
done
say environment; unit odd -E 'ONE=1' -E TEXT="$TEXT" -o log -- ./show; systemctl start odd || exit; shown >/dev/null; systemctl stop odd; grep -c -e ^ONE=1 -e '^TEXT=a ' -e "^PATH=$PATH\$" environment
say unset; unit odd --unset LANG --unset PATH -o log -- ./show; systemctl set-environment LANG=C; systemctl start odd || exit; shown >/dev/null; systemctl stop odd; grep -e ^LANG= -e ^PATH= environment; systemctl unset-environment LANG
say clean; unit odd --clean-env -E TWO=2 -o log -- ./show; systemctl start odd || exit; shown >/dev/null; systemctl stop odd; grep -v -e ^PWD= environment
`)
	for _, program := range []string{"./show", `./it's a \show`} {
		require.Equal(t, "none", got["difference "+program])
		require.Greater(t, len(got["lines "+program]), 1, "some ten lines")
	}
	require.Equal(t, "3", got["environment"])
	require.Empty(t, got["unset"])
	require.Equal(t, "TWO=2", got["clean"])
}

// unitFunctions installs what detach unit prints, and has systemd-analyze look
// at it.
const unitFunctions = `
unit() { # NAME FLAG... -- COMMAND...
	name=$1; shift
	"$D" unit "$@" >/run/systemd/system/$name.service || exit
	systemd-analyze verify --man=no $name.service 2>&1
	systemctl daemon-reload || exit
}
`

// The server has its console, its PID file, its user and its limits; it is
// asked to stop by the console, and started again when it was killed.
func TestUnitFileOfAServer(t *testing.T) {
	got := inSections(t, lab.Systemd, unitFunctions+`
useradd -m -u 4711 -U mc; groupadd crew
mkdir /run/mc; chown mc /run/mc
cd /
fails() { # NAME [WORDS]: it does not start, and the journal tells why
	systemctl start $1 2>&1 | head -n1; systemctl stop $1; [ -z "$2" ] || until journalctl -u $1 -o cat | grep -o -- "$2"; do sleep .02; done
}
say install
unit mc -C /run/mc -o console.log --console console.in --stop-console 'stop now' --user mc:crew \
	--memory 64M --tasks 20 --cpus 1.5 --restart on-failure -- \
	sh -c 'echo up; while read line; do echo "$line!"; [ "$line" != "stop now" ] || exit 0; done; echo end of file'
cd /run/mc
systemctl start mc || exit; echo $?
main() { systemctl show -P MainPID mc; }
say console; stat -c '%F %a %U %G' console.in
say user; stat -c '%U %G' /proc/$(main)
say limits; systemctl show -P MemoryMax -P TasksMax -P CPUQuotaPerSecUSec mc
up() { until [ "$(grep -cs ^up console.log)" = $1 ]; do sleep .02; done; }
say talks; up 1; echo hello >console.in; until grep -q 'hello!' console.log; do sleep .02; done; tail -n1 console.log
say killed; kill -9 $(main); up 2; echo again
say stopped; systemctl stop mc; tail -n1 console.log; systemctl is-active mc; ls /run/mc; stat -c '%U %a' console.log
say ends; systemctl start mc; up 3; echo 'stop now' >console.in; until [ "$(systemctl is-active mc)" = inactive ]; do sleep .02; done; systemctl show -P Result -P NRestarts mc; grep -c ^up console.log
say link; systemctl start mc; up 4; mkdir /run/root; mv console.log kept; ln -s /run/root/evil console.log; kill -9 $(main); until [ "$(systemctl show -P NRestarts mc)" -ge 2 ] || [ -e /run/root/evil ]; do sleep .02; done; systemctl stop mc; ls /run/root
say no console; rm console.log console.in; systemctl start mc; up 1; rm console.in; systemctl stop mc; ls
say cannot be opened; touch console.in; fails mc 'console.in: not a FIFO'; rm console.in
say no program; mkdir logs; chown mc logs; cp /bin/sleep program; unit server -C /run/mc -o logs/log --user mc -- ./program 1000; rm program; fails server; grep -o 'program: .*' logs/log
say no folder; mv logs away; fails server 'cannot create.*logs/log.*'
say not for all; mkdir -m 700 logs; fails server 'cannot create.*logs/log.*'
`)
	require.Equal(t, "0", got["install"], "and not a word of systemd-analyze")
	require.Equal(t, "fifo 600 mc crew", got["console"])
	require.Equal(t, "mc crew", got["user"])
	require.Equal(t, "1.500000s\n67108864\n20", got["limits"])
	require.Equal(t, "hello!", got["talks"])
	require.Equal(t, "again", got["killed"])
	require.Equal(t, "stop now!\ninactive\nconsole.in\nconsole.log\nmc 644", got["stopped"])
	require.Equal(t, "success\n0\n3", got["ends"], "and is not started again")
	require.Empty(t, got["link"], "root follows no link of the user's")
	require.Equal(t, "console.log\nkept", got["no console"])
	const failed = `^Job for (mc|server).service failed because .*\n`
	require.Regexp(t, failed+`console.in: not a FIFO$`, got["cannot be opened"])
	require.Regexp(t, failed+`program: not found$`, got["no program"])
	require.Regexp(t, failed+`cannot create.*logs/log.*`, got["no folder"])
	require.Regexp(t, failed+`cannot create.*logs/log.*`, got["not for all"])
}

// With notify the unit is started when the program says so, and it is watched.
func TestUnitFileNotifies(t *testing.T) {
	lab.Program(t, "python3")
	got := inSections(t, lab.Systemd, unitFunctions+`
mkdir /run/w; cd /run/w
say install
unit notifies -o log --ready notify --timeout 300 --watchdog 1s --restart always -- python3 -c '
import os, socket, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(os.environ["NOTIFY_SOCKET"])
print("up", flush=True)
while not os.path.exists("go"): time.sleep(.02)
print("ready", os.environ["WATCHDOG_USEC"], flush=True)
s.send(b"READY=1")
time.sleep(1000)'
say waits; systemctl start --no-block notifies; until grep -qs up log; do sleep .02; done; systemctl is-active notifies
say ready; touch go; systemctl start notifies; grep -m1 ready log
say bitten; until [ $(grep -c ready log) -ge 2 ]; do sleep .05; done; systemctl stop notifies; echo again
`)
	require.Empty(t, got["install"])
	require.Equal(t, "activating", got["waits"])
	require.Equal(t, "ready 1000000", got["ready"])
	require.Equal(t, "again", got["bitten"])
}

// A user's is for the user's systemd.
func TestUnitFileOfAUser(t *testing.T) {
	got := inSections(t, lab.UnifiedSystemd, `
useradd -m -u 4711 panel
loginctl enable-linger panel
until [ "$(systemctl is-active user@4711)" = active ]; do sleep .02; done
as() { systemd-run -q --pipe --wait -G --unit=panel -p User=panel -p WorkingDirectory=/home/panel -E XDG_RUNTIME_DIR=/run/user/4711 "$@" 2>&1; }
as mkdir -p .config/systemd/user
say print; as sh -c '"$0" unit -o log --console in --stop-console quit -- sh -c "read x; echo read \$x" >.config/systemd/user/own.service' "$D"; head -n 2 ~panel/.config/systemd/user/own.service
say verify; as systemd-analyze --user verify --man=no .config/systemd/user/own.service; echo status $?
say enable; as sh -c 'systemctl --user daemon-reload && systemctl --user enable -q --now own'; echo status $?
say owner; stat -c %U /proc/$(as systemctl --user show -P MainPID own)
say stop; as systemctl --user stop own; cat ~panel/log
say another user; as "$D" unit --user root -- sh; echo status $?
`)
	require.Equal(t, "# Save it as ~/.config/systemd/user/NAME.service, then:\n#   systemctl --user daemon-reload && systemctl --user enable --now NAME", got["print"])
	require.Equal(t, "status 0", got["verify"])
	require.Equal(t, "status 0", got["enable"])
	require.Equal(t, "panel", got["owner"])
	require.Equal(t, "read quit", got["stop"])
	require.Regexp(t, `^detach: user root: only root can: .*\nhint: .*\nstatus 125$`, got["another user"])
}
