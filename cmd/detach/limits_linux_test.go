package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// limitsScript starts a program that tells what it was given, in a folder that
// any user can write to.
const limitsScript = `
cd $(mktemp -d /run/w.XXXXXX); chmod 777 .
cat >show <<'END'
#!/bin/sh
id -u; id -g; id -G
echo $HOME $USER $LOGNAME
grep -E '^(CapInh|CapPrm|CapEff|CapAmb)' /proc/self/status | cut -f2
cut -d' ' -f19 /proc/self/stat
cat /proc/self/oom_score_adj
ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc
END
chmod 755 show
given() { "$D" --via $1 -o log --console in -p pid --ready alive=0s --user games:mail --nice 7 --oom-score-adj 321 \
	--rlimit nofile=100:200 --rlimit core=0 -E USER=me -- ./show >out 2>err; "$D" wait pid >/dev/null 2>&1; cat log; stat -c '%n %U %G %a' log in; rm -f pid* log in; }
`

// What a daemon is given is the same by a fork and by systemd.
func TestLimitsAndUser(t *testing.T) {
	got := inSections(t, lab.Systemd, limitsScript+`
for via in fork systemd; do say $via; given $via; done
say files; ls -A
say foreign log; touch log; "$D" --via systemd --user games -o log -p pid -- sleep 1000; echo $?; ls -A
say link; mkdir theirs; chown games theirs; ln -s /etc theirs/logs; "$D" --user games -o theirs/logs/log -p pid -- sleep 1000; echo $?; ls /etc/log 2>/dev/null
say kept; rm log; touch log; chown games log; "$D" --user games -o log -p pid -- sleep 1000 >/dev/null; echo $?; "$D" stop -q pid
mkdir -m 700 secret; cp /bin/sleep secret
for via in fork systemd; do say exec by $via; "$D" --via $via --user games -p pid -- ./secret/sleep 1000; echo $?; ls pid* 2>/dev/null; done
say directory; "$D" --via systemd --user games -C secret -p ../pid -- sleep 1000; echo $?; ls pid* 2>/dev/null
say working directory; (cd secret; "$D" --via systemd --user games -p ../pid -- sleep 1000; echo $?; ls ../pid* 2>/dev/null)
say no user; "$D" --user nosuch -p pid -- sleep 1000; echo $?
say no group; "$D" --user 61234 -p pid -- sleep 1000; echo $?
say number; "$D" --via fork --user 61234:61235 -p pid -- sleep 1000 >/dev/null; grep -E '^(Uid|Gid|Groups)' /proc/$(cat pid)/status; "$D" stop -q pid
say number by auto; systemd-run -q --pipe --wait -G --unit=panel -p WorkingDirectory=$PWD "$D" --user 61234:61235 -o log2 -p pid -- sleep 1000 2>&1 | sed 's/^[0-9]*$/PID/'; grep -o '"via": "[a-z]*"' pid.json; "$D" stop -q pid
say number by systemd; "$D" --via systemd --user 61234:61235 -p pid -- sleep 1000; echo $?; ls pid* 2>/dev/null
say not root; cp "$D" d; chmod 755 d; setpriv --reuid=games --clear-groups ./d --user games -- sleep 1000; echo $?
say set-user-ID; cp d /opt/d; chmod 4755 /opt/d; setpriv --reuid=games --regid=60 --clear-groups /opt/d --user root -- sleep 1000; echo $?
say tiny; "$D" --via systemd --memory 64K -p pid -- sleep 1000; echo $?; ls pid 2>/dev/null; true
`)
	if !strings.HasSuffix(got["tiny"], "\n0\npid") { // where it is enforced
		require.Regexp(t, `^detach: verify /usr/bin/sleep: exited already, with a limit on memory of 65536 bytes(: killed by SIGKILL)?\nhint: .*\n123$`, got["tiny"])
	}
	require.Equal(t, `5
8
8 60
/usr/games me games
0000000000000000
0000000000000000
0000000000000000
0000000000000000
7
321
100
200
0
0
log games mail 640
in games mail 600`, strings.Replace(got["fork"], "\n8\n/usr", "\n8 60\n/usr", 1))
	require.Equal(t, got["fork"], got["systemd"])
	require.Equal(t, "err\nout\nshow", got["files"])
	require.Equal(t, "detach: open log: is there already and not the user's\nhint: give it to the user (chown), or name another one\n125\nerr\nlog\nout\nshow", got["foreign log"])
	require.Equal(t, "detach: open theirs/logs/log: a symbolic link leads to a folder that is not the user's\n125", got["link"])
	require.Equal(t, "0", got["kept"])
	for _, via := range []string{"fork", "systemd"} {
		require.Equal(t, "detach: exec ./secret/sleep: permission denied\n126", got["exec by "+via])
	}
	require.Equal(t, "detach: chdir secret: permission denied\n125", got["directory"])
	require.Regexp(t, `^detach: chdir /run/w\.\w+/secret: permission denied\n125$`, got["working directory"])
	require.Regexp(t, `^detach: user nosuch: .*unknown user nosuch\n125$`, got["no user"])
	require.Contains(t, got["no group"], "so its group has to be given: USER:GROUP\n125")
	require.Equal(t, "Uid:\t61234\t61234\t61234\t61234\nGid:\t61235\t61235\t61235\t61235\nGroups:\t61235", got["number"])
	require.Regexp(t, `^detach: warning: .*; it is no service of its own because: user 61234:61235: systemd needs an entry in /etc/passwd\nhint: .*\nPID\n"via": "fork"$`, got["number by auto"])
	require.Equal(t, "detach: user 61234:61235: systemd needs an entry in /etc/passwd\nhint: useradd makes one; --via fork does without\n125", got["number by systemd"])
	require.Equal(t, "detach: user games: only root can: operation not permitted\nhint: start it as root, as with sudo\n125", got["not root"])
	require.Contains(t, got["set-user-ID"], "set-user-ID program")
}

// bites shows that each limit of a cgroup bites, with a daemon held in way $1.
const bites = `
cd $(mktemp -d /run/w.XXXXXX)
bites() {
	flags="--via $1 -p pid -o log --console in"
	say $1 tasks
	"$D" $flags --tasks 5 -- sh -c 'read go; for n in 1 2 3 4 5 6; do sleep 1000 & done; read end' >/dev/null
	"$D" status pid | grep '^limits'
	"$D" send pid go; until grep -qi 'cannot fork' log || ! [ -e pid ]; do sleep .05; done
	"$D" stop -q pid; echo $?
	say $1 cpus
	"$D" $flags --cpus 0.2 -- sh -c 'while :; do :; done' >/dev/null
	"$D" status pid | grep '^limits'
	until grep -hs '^nr_throttled [1-9]' /sys/fs/cgroup/$(grep -e :cpu: -e ^0:: /proc/$(cat pid)/cgroup | head -n1 | sed 's/^[^:]*:\([^:]*\):/\1/')/cpu.stat >/dev/null || ! [ -e pid ]; do sleep .05; done
	"$D" stop -q --timeout 0 pid; echo $?
	say $1 io
	"$D" $flags --io-weight 300 -- sleep 1000 2>&1 >/dev/null && "$D" status pid | grep '^limits'
	"$D" stop -q pid
	say $1 memory
	rm log; "$D" $flags --memory 32M -- sh -c 'read go; tail /dev/zero; echo went on' >/dev/null
	"$D" status pid | grep '^limits'
	"$D" status --json pid | grep -o '"memory_max":[0-9]*'
	"$D" wait pid >waited 2>&1 & w=$!
	unit=$(sed -n 's/.*"unit": "\(.*\)",/\1/p' pid.json)
	if [ "$unit" ]; then until [ "$(systemctl show -P Refs $unit)" ]; do sleep .05; done
	else until ls -l /proc/$w/fd | grep -q pidfd; do sleep .05; done; fi
	"$D" send pid go 2>/dev/null; wait $w; cat waited
	"$D" status pid | grep -e ^note -e ^state -e ^limits
	cat log; "$D" stop -q pid; ls pid in 2>/dev/null
	say $1 left; find /sys/fs/cgroup -name 'detach-*'; pgrep -fx 'sleep 1000'; true
}
`

// The controllers of version 1 are systemd's to use.
func TestSystemdLimitsBite(t *testing.T) {
	got := inSections(t, lab.Systemd, bites+`bites systemd
say counted; "$D" --via systemd --memory 32M -o log2 -p pid --console in -- sh -c 'tail /dev/zero; echo went on; read end' >/dev/null
until grep -q "went on" log2; do sleep .05; done; "$D" status pid | grep -o 'out of memory .*'; "$D" stop -q pid
`)
	requireBites(t, "systemd", got)
	require.Equal(t, "out of memory 1 times", got["counted"])
	require.Contains(t, got["systemd memory"], "Killed\n", "by version 1 one process, which the shell tells of")
}

// With version 2, and in a cgroup of its own too. One retry: it is the kernel
// that does not always come up.
func TestUMLLimitsBite(t *testing.T) {
	got := inUML(t, bites+`
for via in systemd cgroup; do bites $via; done
say out of memory, asked later; "$D" --via cgroup --memory 32M --console in -p pid -- sh -c 'read go; exec tail /dev/zero' >/dev/null 2>&1; "$D" send pid go 2>/dev/null; until ! kill -0 $(cat pid) 2>/dev/null; do sleep .05; done
"$D" wait pid; "$D" wait --json pid | grep -o '"oom":true'; "$D" status pid | grep ^note; "$D" stop -q pid; "$D" wait pid 2>/dev/null; echo $?
say of another; mkdir /sys/fs/cgroup/above; echo 32M >/sys/fs/cgroup/above/memory.max
"$D" --via cgroup --cgroup /above/mine --memory 640M --console in -p pid -- sh -c 'read go; exec tail /dev/zero' >/dev/null 2>&1; "$D" send pid go 2>/dev/null; until ! kill -0 $(cat pid) 2>/dev/null; do sleep .05; done
"$D" wait pid; "$D" status pid | grep ^note; "$D" stop -q pid
say killed otherwise; "$D" --via cgroup --memory 32M -p pid -- sleep 1000 >/dev/null 2>&1; kill -9 $(cat pid); until ! kill -0 $(cat pid) 2>/dev/null; do sleep .05; done
"$D" wait pid; "$D" status pid | grep ^note; "$D" stop -q pid
say weight; mkdir -p /run/block/sdx/queue; echo 8 >/run/block/sdx/size; echo '[bfq] none' >/run/block/sdx/queue/scheduler; mount --bind /run/block /sys/block
for via in systemd cgroup; do "$D" --via $via --io-weight 300 -p pid -- sleep 1000; echo $?; done 2>&1; umount /sys/block; ls pid 2>/dev/null; find /sys/fs/cgroup -name 'detach-*'
say too large; "$D" --via cgroup --memory 64M --tasks 99999999 -p pid -- sleep 1000 2>&1; echo $?; ls pid* 2>/dev/null; find /sys/fs/cgroup -name 'detach-*'; pgrep -fx 'sleep 1000'
say largest; "$D" --via cgroup --tasks 4194304 -p pid -- sleep 1000 >/dev/null; echo $?; "$D" stop -q pid
say auto; "$D" --memory 64M -p pid -- sleep 1000 >/dev/null; grep -o '"via": .*' pid.json; "$D" stop -q pid
say group; mkdir /sys/fs/cgroup/g; echo 1 >/sys/fs/cgroup/g/memory.oom.group; sh -c 'echo 0 >/sys/fs/cgroup/g/cgroup.procs; "$0" hazards --via fork -o log' "$D"
say fork; "$D" --via fork --memory 64M --tasks 3 -p pid -- sleep 1000 2>&1; echo $?
say asked; mkdir /sys/fs/cgroup/mine; "$D" --via cgroup --cgroup /mine -p pid -- sleep 1000 >/dev/null; cat /proc/$(cat pid)/cgroup; "$D" stop -q pid; ls -d /sys/fs/cgroup/mine
"$D" --via cgroup --cgroup /mine --memory 64M -p pid -- sleep 1000 2>&1; echo $?
`)
	requireBites(t, "systemd", got)
	requireBites(t, "cgroup", got)
	require.Contains(t, got["systemd memory"], "killed by SIGKILL, out of memory: it reached its limit")
	require.Regexp(t, `since it reached its limit on memory\n|killed by SIGKILL, out of memory: it reached its limit`, got["cgroup memory"])
	require.NotContains(t, got["systemd memory"]+got["cgroup memory"], "went on")
	require.Regexp(t, `(?m)^note .*since it reached its limit on memory$`, got["cgroup memory"])
	require.Equal(t, "PID file pid: ended, it is not known how, but the kernel has ended a process of it, since it reached its limit on memory\n"+
		"\"oom\":true\nnote     the kernel has ended processes of it, since it reached its limit on memory\n125", got["out of memory, asked later"])
	require.Equal(t, "PID file pid: ended, it is not known how\nnote     the kernel has ended processes of it, since there was no memory left", got["of another"])
	require.Equal(t, "PID file pid: ended, it is not known how", got["killed otherwise"])
	const nothing = "detach: limit io-weight=300: cannot be enforced here: what was set is nothing\nhint: .*\n125"
	require.Regexp(t, "^"+nothing+"\n"+nothing+"$", got["weight"], "the kernel of User-Mode Linux has BFQ, which does not know cgroups there")
	require.Regexp(t, `^detach: invalid value "99999999" for flag -tasks: is not a number from 1 to 4194304\n.*\n125$`, got["too large"])
	require.Equal(t, "0", got["largest"])
	require.Equal(t, `"via": "systemd",`, got["auto"])
	require.Contains(t, got["group"], "hazard: it is in the cgroup /g with memory.oom.group: when memory runs out and one in there is ended, the kernel ends all of them")
	require.Contains(t, got["fork"], "detach: limit memory, tasks: is of a cgroup, and a fork stays in the caller's")
	require.Contains(t, got["fork"], "125")
	require.Equal(t, "0::/mine\n/sys/fs/cgroup/mine\ndetach: limit /sys/fs/cgroup/mine: is there already, and its limits are not the daemon's\n125", got["asked"])
}

func requireBites(t *testing.T, via string, got map[string]string) {
	t.Helper()
	require.Regexp(t, `^limits +(memory .*, )?1 tasks of 5(, .*)?\n0$`, got[via+" tasks"])
	require.Regexp(t, `^limits +.*0\.2 CPUs.*\n0$`, got[via+" cpus"])
	require.Regexp(t, `^limits +.*I/O weight \d+$|^detach: limit .*io-weight=300: no disk has a scheduler that honours it, so it cannot be enforced \(.*\)\n`, got[via+" io"])
	require.Regexp(t, `^limits +memory .* of 32\.0 MiB.*\n"memory_max":33554432\n`, got[via+" memory"])
	require.Empty(t, got[via+" left"])
}

// inUML is inSections in User-Mode Linux.
func inUML(t *testing.T, script string) map[string]string {
	t.Helper()
	for try := 0; ; try++ {
		cmd := lab.UMLSystemd(t, "sh", "-c", sectionsPrelude+script, lab.Bin(t, "detach"))
		cmd.Dir = "/"
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if err != nil && try == 0 && lab.NotBooted(cmd.ProcessState.ExitCode()) {
			t.Logf("again: %v\n%s", err, &out)
			continue
		}
		require.NoError(t, err, "%s", &out)
		return sectionsOf(t, out.Bytes())
	}
}

// A limit whose controller is missing is refused, and not ignored as systemd
// does.
func TestSystemdLimitsWithoutControllers(t *testing.T) {
	got := inSections(t, lab.UnifiedSystemd, `
mkdir /run/w; cd /run/w
for via in auto systemd cgroup; do
	for flag in "memory 64M" "cpus 1.5" "tasks 10" "io-weight 50"; do
		"$D" --via $via --$flag -p pid -- sleep 1000; echo $?
	done
done >out 2>&1
say refused; sort out | uniq -c
say left; ls; pgrep -fx "sleep 1000"; find /sys/fs/cgroup -name "detach-*"; true
`)
	if strings.Contains(got["refused"], "12 125") {
		require.Regexp(t, `^12 125\n +2 detach: limit cpus: there is no cgroup controller cpu here, so it cannot be enforced\n`, got["refused"])
		require.Equal(t, "out", got["left"])
		return
	}
	lab.Skip(t, "version 2 has controllers here")
}

// A limit that cannot be set is an error, and nothing is left of the start.
func TestLimitsThatCannotBe(t *testing.T) {
	lab.Root(t)
	setpriv := lab.Program(t, "setpriv")
	user := []string{setpriv, "--bounding-set=-all", "--inh-caps=-all", "--securebits=+noroot"} // root without capabilities
	for want, flags := range map[string][]string{
		"detach: set resource limit nofile=1:9999999: operation not permitted\n":                 {"--rlimit", "nofile=1:9999999"},
		"detach: set nice value -20: permission denied\n":                                        {"--nice", "-20"},
		"detach: set oom_score_adj -1000: permission denied\n":                                   {"--oom-score-adj", "-1000"},
		"detach: limit rlimit=cpu=2:1: has a soft limit above the hard one\n":                    {"--rlimit", "cpu=2:1"},
		"detach: limit rlimit=no=1:1: is no resource that the kernel limits, see setrlimit(2)\n": {"--rlimit", "no=1"},
	} {
		a := newAttempt(t)
		status, stderr := a.run(user, append(flags, "-p", "pid")...)
		require.Equal(t, statusFailed, status)
		require.Equal(t, want, stderr)
		a.requireNothingLeft()
	}
}

// systemd sets the nearest limit that it may, without a word: that is seen before
// or, where only that can tell, right after the start.
func TestSystemdLimitsThatCannotBe(t *testing.T) {
	got := inSections(t, lab.UnifiedSystemd, `
useradd -m -u 4711 panel
mkdir -m 777 /run/w; cd /run/w
as() { systemd-run -q --pipe --wait -G -p User=panel -p WorkingDirectory=/run/w "$@" 2>&1; }
loginctl enable-linger panel
until [ "$(systemctl is-active user@4711)" = active ]; do sleep .02; done
for flag in 'rlimit memlock=1:99999999999' 'nice -5' 'oom-score-adj -900'; do
	say ${flag%% *}
	as "$D" --via systemd -p pid --$flag -- sleep 1000; echo $?; ls; pgrep -fx 'sleep 1000'
done
true
`)
	require.Regexp(t, `^detach: limit rlimit=memlock=1:99999999999: is more than systemd may set here: memlock=\d+:\d+\n125$`, got["rlimit"])
	require.Regexp(t, `^detach: limit nice=-5: is more than systemd may set here: -?\d+\n125$`, got["nice"])
	require.Regexp(t, `^detach: limit oom-score-adj=-900: cannot be enforced here: what was set is \d+\n125$`, got["oom-score-adj"])
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"1": 1, "4096": 4096, "2K": 2048, "512M": 512 << 20, "2G": 2 << 30, "1.5G": 3 << 29, "1T": 1 << 40} {
		n, err := parseSize(s)
		require.NoError(t, err, s)
		require.Equal(t, want, n, s)
	}
	for _, s := range []string{"", "0", "-1", "G", "1.5", "1X", "2g", "9999999999T", "NaNG", "infG", "0K"} {
		_, err := parseSize(s)
		require.Error(t, err, s)
	}
}
