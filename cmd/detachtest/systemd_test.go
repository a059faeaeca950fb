//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// systemdColumns are launchers against the deaths that want systemd as PID 1.
// All are lines for sh.
var systemdColumns = []column{
	{name: "plain", args: []string{"exec {} >/dev/null 2>&1"}, kills: plainChild},
	{name: "nohup", args: []string{"nohup {} >/dev/null 2>&1 &"}, kills: with(orphan, map[string]string{"logout": "SIGTERM"})},
	{name: "setsid", args: []string{"setsid -f {} >/dev/null 2>&1"}, kills: orphan},
	{name: "stubborn", args: []string{"trap '' TERM; exec setsid -f {} >/dev/null 2>&1"}, kills: with(orphan, map[string]string{
		"systemd-stop": "SIGKILL", "systemd-restart": "SIGKILL", "logout": "SIGHUP",
	})},
	{name: "scope", args: []string{"exec systemd-run --quiet --collect --scope {} >/dev/null 2>&1"}},
	{name: "service", args: []string{"systemd-run --quiet --collect {}"}},
}

// strictLogind is a script that has logind kill what users leave behind.
const strictLogind = `
mkdir -p /etc/systemd/logind.conf.d
printf '[Login]\nKillUserProcesses=yes\n' >/etc/systemd/logind.conf.d/kill.conf
systemctl restart systemd-logind || exit
`

// ownTemporary is a script that has a folder for temporary files in which there
// are none of this machine, as there are in the lab's copy of /tmp.
const ownTemporary = "export TMPDIR=$(mktemp -d) || exit\n"

// underSystemd runs detachtest as a service of a systemd whose logind kills
// what users leave behind, and shows that nothing is left of it there.
func underSystemd(t *testing.T, args ...string) (byLauncher map[string]map[string]verdict) {
	t.Helper()
	const script = strictLogind + ownTemporary + `
"$0" --format json "$@"
status=$?
find $TMPDIR /sys/fs/cgroup -name 'detachtest-*' 2>/dev/null >&2
systemctl --all --no-legend list-units 'detachtest-*' 'session-*' >&2
pgrep -af '[_]_probe' >&2
exit $status
`
	bin := lab.Bin(t, "detachtest")
	cmd := lab.Systemd(t, slices.Concat([]string{"sh", "-c", script, bin}, args)...)
	var stdout, stderr bytes.Buffer
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	_ = cmd.Wait() // the status is looked at below
	require.Empty(t, stderr.String())
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	var r testReport
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r), stdout.String())
	byLauncher = map[string]map[string]verdict{}
	for _, v := range r.Verdicts {
		if byLauncher[v.Launcher] == nil {
			byLauncher[v.Launcher] = map[string]verdict{}
		}
		byLauncher[v.Launcher][v.Death] = v
	}
	return byLauncher
}

func TestDeathsUnderSystemd(t *testing.T) {
	for _, name := range []string{"setsid", "nohup"} {
		lab.Program(t, name)
	}
	only := "sigkill"
	for _, name := range elsewhere {
		only += "," + name
	}
	args := []string{"--only", only, "--shell"}
	for _, c := range systemdColumns {
		args = append(args, "--launcher", c.name+"="+c.args[0])
	}
	verdicts := underSystemd(t, args...)
	for _, c := range systemdColumns {
		for _, d := range deaths {
			if d.name != "sigkill" && !slices.Contains(elsewhere, d.name) {
				continue
			}
			v := verdicts[c.name][d.name]
			require.NotEqual(t, notRun, v.Outcome, "%+v", v)
			requireVerdict(t, d, v, c.kills[d.name])
		}
	}
}

// A launcher that leaves the container by the host's help proves nothing about
// containers. A real one does not let it.
func TestContainerIsLeftByHelp(t *testing.T) {
	verdicts := underSystemd(t, "--only", "container-stop,cgroup-kill", "--shell",
		"--launcher", "service=systemd-run --quiet --collect {}", "--launcher", "plain=exec {} >/dev/null 2>&1")
	require.Equal(t, notRun, verdicts["service"]["container-stop"].Outcome)
	require.Equal(t, survived, verdicts["service"]["cgroup-kill"].Outcome)
	require.Equal(t, doomed, verdicts["plain"]["container-stop"].Outcome)
}

// All deaths are staged there, of the user's own manager too.
func TestDetachUnderSystemd(t *testing.T) {
	t.Run("binary", func(t *testing.T) {
		bin := lab.Bin(t, "detach")
		verdicts := underSystemd(t, "--launcher", "fork="+bin+" --via fork --",
			"--launcher", "auto="+bin+" --", "--launcher", "outlive-ci="+bin+" --outlive-ci --")
		// A service outlives the cgroup of its manager.
		auto := without(detachDiesOf, "cgroup-kill", "systemd-stop", "systemd-restart", "logout")
		for name, kills := range map[string]map[string]string{
			"fork": detachDiesOf, "auto": auto, "outlive-ci": without(auto, ciDeaths...),
		} {
			for _, d := range deaths {
				v := verdicts[name][d.name]
				require.NotEqual(t, notRun, v.Outcome, "%+v", v)
				requireVerdict(t, d, v, kills[d.name])
			}
		}
	})
	t.Run("package", func(t *testing.T) {
		for _, verdicts := range underSystemd(t, "--manager", "--", lab.Build(t, "detach/lab/manager")) {
			for _, d := range deaths {
				require.Equal(t, d.ownOnly != "", verdicts[d.name].Outcome == notRun, "%+v", verdicts[d.name])
				if d.ownOnly == "" {
					requireVerdict(t, d, verdicts[d.name], detachDiesOf[d.name])
				}
			}
		}
	})
}

// A service is nobody's child, and outlives a tester that is killed: the guard
// ends it.
func TestKilledLeavesNoService(t *testing.T) {
	lab.Program(t, "setsid")
	const script = ownTemporary + `
"$0" --only systemd-stop --timeout 1h --manager --shell -- '
	case $(cat /proc/self/cgroup) in *detachtest-*.service*) ;; *) setsid -f "$DETACHTEST_PROBE" >/dev/null 2>&1 ;; esac
	exec sleep 1000' &
guard=$!
until systemctl --no-legend list-units 'detachtest-*' | grep -q running; do sleep 0.1; done
kill -KILL $(pgrep -P $guard)
wait $guard
echo $?
find $TMPDIR -name 'detachtest-*'
systemctl --all --no-legend list-units 'detachtest-*'
pgrep -ax sleep
true
`
	cmd := lab.Systemd(t, "sh", "-c", script, lab.Bin(t, "detachtest"))
	cmd.Dir = "/"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	require.Equal(t, "125\n", string(out), stderr.String())
	require.Equal(t, "detachtest: the tester ended: signal: killed\n", stderr.String())
}
