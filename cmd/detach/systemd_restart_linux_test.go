package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// systemd starts again what has ended; every verb finds the new process by the
// PID file, and stop means it.
func TestSystemdRestart(t *testing.T) {
	lab.Program(t, "python3")
	lab.Program(t, "strace")
	got := inSections(t, lab.Systemd, reloadFunctions+`
mkdir /run/w; cd /run/w
for when in on-failure always; do
	say $when
	old=$("$D" --restart $when -o $when.log --console $when.in --stop-console stop -p $when.pid -- sh -c 'echo up; while read line; do echo "$line!"; [ "$line" != stop ] || exit 0; done') || exit
	until grep -q up $when.log; do sleep .02; done
	kill -9 $old
	again $old $when.pid; until [ $(grep -c '^up' $when.log) = 2 ]; do sleep .02; done; echo again
	[ $(cat $when.pid) = $new ] && echo named
	[ "$(ps -o args= -p $new)" = "$(tr '\0' ' ' </proc/$new/cmdline | sed 's/ $//')" ] && echo same
	"$D" send $when.pid hello && until grep -q 'hello!' $when.log; do sleep .02; done; grep -c '^up' $when.log
	"$D" -p $when.pid -- sleep 1000 2>&1 | grep -o 'already running'
	say $when stop; "$D" stop $when.pid >/dev/null; echo $?
	say $when left; ls $when.pid* 2>/dev/null; systemctl list-units --all --plain --no-legend 'detach-*'; found=$(pgrep -f 'while read line'); echo "$found" | grep -v $$ # the shell that is to be grep has the words too
done
say clean exit; "$D" --restart on-failure -p clean.pid --console clean.in -- sh -c 'read x; exit 0' >/dev/null; "$D" send clean.pid end; until ! "$D" status clean.pid >/dev/null; do sleep .02; done; systemctl list-units --all --plain --no-legend 'detach-*'
say stop by signal; "$D" --restart always -p signal.pid -- sleep 1001 >/dev/null; "$D" stop -q signal.pid; echo $?; systemctl list-units --all --plain --no-legend 'detach-*'; pgrep -fx 'sleep 1001'
say meanwhile; old=$("$D" --restart always -p m.pid -- sleep 1005) # it ends between being opened and being looked at
: >trace; strace -f -o trace -P /proc --inject=getdents64:signal=STOP:when=1 "$D" status m.pid >status & until grep -q 'stopped by SIGSTOP' trace; do kill -0 $! || exit; sleep .02; done
kill -9 $old; while kill -0 $old 2>/dev/null; do sleep .02; done; while kill -CONT $(sed -n '/stopped by SIGSTOP/{s/ .*//p;q}' trace) 2>/dev/null; do sleep .02; done; wait $!; echo $? # each of its threads is stopped once
grep -o running status; again $old m.pid; grep -c "^pid  *$new$" status; "$D" stop -q m.pid
say not stolen; old=$("$D" --restart always -p stolen.pid -- sleep 1002); unit=$(sed -n 's/.*"unit": "\(.*\)",/\1/p' stolen.pid.json)
systemctl stop $unit; systemd-run -q -p Type=exec sleep 1003; "$D" status stolen.pid | grep -o 'dead'; "$D" stop -q stolen.pid; pgrep -fx '/usr/bin/sleep 1003' >/dev/null && echo untouched
say watchdog; : >dog.log; old=$("$D" --restart on-failure --watchdog 1s -p dog.pid -o dog.log -- python3 -c 'import os,socket,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.sendto(b"WATCHDOG=1",os.environ["NOTIFY_SOCKET"]); print("told", os.environ["WATCHDOG_USEC"], flush=True); time.sleep(1000)')
again $old dog.pid; until [ $(grep -c 'told 1000000' dog.log) -ge 2 ]; do sleep .05; done; echo bitten; "$D" stop -q dog.pid; echo $?
say fork; "$D" --via fork --restart always -- sleep 1004 2>&1; "$D" --via fork --watchdog 1s -- sleep 1004 2>&1; pgrep -fx 'sleep 1004'
true
`)
	for _, when := range []string{"on-failure", "always"} {
		require.Equal(t, "again\nnamed\nsame\n2\nalready running", got[when])
		require.Equal(t, "0", got[when+" stop"])
		require.Empty(t, got[when+" left"])
	}
	require.Empty(t, got["clean exit"])
	require.Equal(t, "0", got["stop by signal"])
	require.Equal(t, "0\nrunning\n1", got["meanwhile"])
	require.Equal(t, "dead\nuntouched", got["not stolen"])
	require.Equal(t, "bitten\n0", got["watchdog"])
	require.Regexp(t, `^detach: restart always: nobody looks after a double fork\nhint: .*--via systemd.*\ndetach: watchdog 1s: nobody looks after a double fork\nhint: .*$`, got["fork"])
}

// Another user's is started again as that user; a user's own systemd does it too,
// across a daemon-reload, and root can stop that.
func TestSystemdRestartOfUsers(t *testing.T) {
	got := inSections(t, lab.UnifiedSystemd, reloadFunctions+`
useradd -m -u 4711 panel
mkdir -m 777 /run/w; cd /run/w
who() { until ! grep -q 'exec <>' /proc/$1/cmdline; do "$D" status p.pid >/dev/null || exit; done # the shell that opens the files
stat -c %U /proc/$1; grep -c -e '^HOME=/home/panel$' -e '^USER=panel$' -e '^ODD=a "b" [$]c$' <<END
$(tr '\0' '\n' </proc/$1/environ)
END
grep -E '^(Uid|Gid|Groups|Cap(Prm|Eff|Amb))' /proc/$1/status >$2; grep 'open files' /proc/$1/limits >>$2; readlink /proc/$1/fd/[012] >>$2; tr '\0' ' ' </proc/$1/cmdline >>$2; }
export ODD='a "b" $c'
cat >start <<'END' # systemd-run would expand the words
"$@" --restart always --rlimit nofile=100:200 -o log --console in -p p.pid -- sh -c 'read line && echo "$line" "$0"; exec sleep 74001' '$x;'
END
say root; old=$(sh start "$D" --user panel) || exit
who $old was; systemctl daemon-reload; kill -9 $old; again $old p.pid; who $new is; cmp was is && echo same
"$D" send p.pid hello; until grep -q 'hello [$]x;' log; do "$D" status p.pid >/dev/null || exit; sleep .02; done
"$D" stop -q p.pid; echo $?
say root left; left 7400; rm -f log in
loginctl enable-linger panel
until [ "$(systemctl is-active user@4711)" = active ]; do sleep .02; done
as() { systemd-run -q --pipe --wait -G --unit=panel -p User=panel -p WorkingDirectory=/run/w -E ODD -E HOME=/home/panel -E USER=panel -E XDG_RUNTIME_DIR=/run/user/4711 "$@" 2>&1; }
dropins() { ls -d /run/user/4711/systemd/user/detach-*.d 2>/dev/null | wc -l; }
for by in panel root; do
	say user, $by; old=$(as sh start "$D"); [ "$old" = "$(cat p.pid)" ] || exit
	dropins; who $old was; as systemctl --user daemon-reload; kill -9 $old
	[ $by = root ] || until new=$(as "$D" status --json p.pid | sed -n 's/.*"pid":\([0-9]*\),.*/\1/p') && [ -n "$new" ] && [ "$new" != $old ]; do as "$D" status p.pid >/dev/null || exit; done
	[ $by = panel ] || again $old p.pid
	who $new is; cmp was is && echo same
	as "$D" send p.pid hello; until grep -q 'hello [$]x;' log; do as "$D" status p.pid >/dev/null || exit; sleep .02; done
	[ $by = panel ] && as "$D" stop -q p.pid || "$D" stop -q p.pid; echo $?; dropins
	say user, $by left; left 7400; rm -f log in; as systemctl --user list-units --all --plain --no-legend 'detach-*'
done
`)
	require.Equal(t, "panel\n3\npanel\n3\nsame\n0", got["root"])
	require.Empty(t, got["root left"])
	for _, by := range []string{"panel", "root"} {
		require.Equal(t, "1\npanel\n3\npanel\n3\nsame\n0\n0", got["user, "+by], by)
		require.Empty(t, got["user, "+by+" left"], by)
	}
}

var _ = lab.Helper("kill-restarted", func([]string) error {
	cmd := detach.Command("sleep", lab.Mark(), "0")
	cmd.Restart, cmd.PIDFile = detach.RestartAlways, "/run/x.pid"
	p, err := cmd.Start(context.Background())
	if err != nil {
		return err
	}
	if err = p.Kill(context.Background()); err != nil {
		return err
	}
	left, globErr := filepath.Glob("/run/x.pid*")
	units, err := exec.Command("systemctl", "list-units", "--all", "--plain", "--no-legend", "detach-*").CombinedOutput()
	if err = errors.Join(globErr, err); err != nil || len(left)+len(units) > 0 {
		return fmt.Errorf("left: %q, %s (%w)", left, units, err)
	}
	fmt.Fprintln(os.Stdout, "killed")
	return nil
})

// Kill means it too.
func TestSystemdRestartKilled(t *testing.T) {
	helper := lab.HelperCommand(t, "kill-restarted")
	cmd := lab.Systemd(t, helper.Args...)
	cmd.Env, cmd.Dir = helper.Env, "/"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "killed\n", string(out))
}
