//go:build linux

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// underStress puts one launcher to the stress and returns what it came to.
func underStress(t *testing.T, args ...string) (status int, r stressResult) {
	t.Helper()
	run := detachtest(t, append([]string{"--format", "json", "--seed", "4711"}, args...)...)
	require.Empty(t, run.stderr)
	var report struct {
		Clean    bool
		Seed     uint64
		Launches int
		Results  []stressResult
	}
	require.NoError(t, json.Unmarshal([]byte(run.stdout), &report), run.stdout)
	require.EqualValues(t, 4711, report.Seed)
	require.Len(t, report.Results, 1)
	r = report.Results[0]
	require.Equal(t, report.Clean, run.status == 0)
	if r.Failed == "" {
		require.Equal(t, report.Launches, r.Whole+r.Nothing+len(r.Incidents))
	}
	return run.status, r
}

func (r stressResult) kinds() map[incidentKind]int {
	kinds := map[incidentKind]int{}
	for _, i := range r.Incidents {
		kinds[i.Kind]++
	}
	return kinds
}

// What detach starts is started or not, at every instant, and its PID file says
// which.
func TestDetachUnderStress(t *testing.T) {
	status, r := underStress(t, "--stress", "60", "--", lab.Bin(t, "detach"), "-p", "{pidfile}", "-o", "{log}", "--")
	require.Empty(t, r.Failed)
	require.Empty(t, r.Incidents)
	require.Zero(t, status)
}

// Launchers that are known to leave things half done are seen to do so, and in
// the way that is theirs.
func TestStressIsShownRed(t *testing.T) {
	lab.Program(t, "setsid")
	for name, c := range map[string]struct {
		line string
		kind incidentKind
		what string
	}{
		"PID file too late":  {`setsid {} >/dev/null 2>&1 & sleep 0.3; echo $! >{pidfile}`, lost, "and there is no PID file"},
		"PID file too early": {`echo $$ >{pidfile}; sleep 0.3; exec setsid {} >/dev/null 2>&1`, stale, "nothing runs, and the PID file names "},
		"empty PID file":     {`: >{pidfile}; sleep 0.3; echo $$ >{pidfile}; exec setsid {} >/dev/null 2>&1`, stale, "a PID file that names nobody"},
		"wrong PID file":     {`echo 1 >{pidfile}; setsid sh -c 'exec {}' >/dev/null 2>&1 & sleep 0.3; echo $! >{pidfile}`, lost, "and the PID file names 1"},
		"not detached":       {`echo $$ >{pidfile}; exec {} >/dev/null 2>&1`, halfStarted, "still in the manager's session"},
		"cut in the middle":  {`setsid -f sleep 1000 >/dev/null 2>&1; sleep 0.5; exec setsid -f {} >/dev/null 2>&1`, halfStarted, "left and not the program: sleep (PID "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			launches := "24"
			if name == "cut in the middle" {
				launches = "12" // each of which takes patience
			}
			status, r := underStress(t, "--race", launches, "--shell", "--", c.line)
			require.Empty(t, r.Failed)
			require.Equal(t, 1, status)
			require.Positive(t, r.kinds()[c.kind], "%+v", r)
			for _, i := range r.Incidents {
				if i.Kind == c.kind && strings.Contains(i.What, c.what) {
					require.Positive(t, i.After)
					return
				}
			}
			t.Fatalf("no %q in %+v", c.what, r.Incidents)
		})
	}
}

// What fails without any stress is told as that.
func TestStressWithoutALaunch(t *testing.T) {
	lab.Program(t, "setsid")
	for line, failed := range map[string]string{
		"exit 3 # {}": "launch failed: the launcher exited with status 3",
		"setsid -f {} >/dev/null 2>&1 # {pidfile}": "undisturbed, it does not leave a PID file that names the program",
	} {
		status, r := underStress(t, "--stress", "5", "--shell", "--", line)
		require.Equal(t, 1, status)
		require.Equal(t, failed, r.Failed)
	}
}

func TestManagerOfTheUserUnderStress(t *testing.T) {
	lab.Program(t, "setsid")
	_, r := underStress(t, "--stress", "8", "--manager", "--shell", "--",
		`setsid "$DETACHTEST_PROBE" >/dev/null 2>&1 & echo $! >"$DETACHTEST_PIDFILE"; exec sleep 1000`)
	require.Empty(t, r.Failed)
	require.Positive(t, r.Whole+r.Nothing)
}

func TestJudge(t *testing.T) {
	probe, helper := &stat{identity: identity{pid: 7}, session: 6}, []stat{{name: "sh"}}
	for _, c := range []struct {
		end  end
		with bool
		want incidentKind
	}{
		{end{leader: 5}, true, ""},
		{end{leader: 5, probe: probe, pidFile: true, named: 7}, true, ""},
		{end{leader: 5, probe: probe, others: helper, pidFile: true, named: 7}, true, ""},
		{end{leader: 5, probe: probe}, false, ""},
		{end{leader: 5, probe: probe}, true, lost},
		{end{leader: 5, probe: probe, pidFile: true}, true, lost},
		{end{leader: 5, probe: probe, pidFile: true, named: 8}, true, lost},
		{end{leader: 5, pidFile: true, named: 7}, true, stale},
		{end{leader: 5, pidFile: true}, true, stale},
		{end{leader: 6, probe: probe, pidFile: true, named: 7}, true, halfStarted},
		{end{leader: 5, others: helper}, true, halfStarted},
	} {
		kind, what := c.end.judge(c.with)
		require.Equal(t, c.want, kind, "%+v", c.end)
		require.Equal(t, kind == "", what == "")
	}
}

// The seed alone says when and how each manager is killed.
func TestPlan(t *testing.T) {
	s := &stress{launches: 50, seed: 1}
	plan := s.plan(0)
	require.Equal(t, plan, s.plan(0))
	require.NotEqual(t, plan, s.plan(1))
	s.seed = 2
	require.NotEqual(t, plan, s.plan(0))
}

func TestStressReport(t *testing.T) {
	var b strings.Builder
	many := make([]incident, 12)
	for i := range many {
		many[i] = incident{Launch: i + 1, Kind: lost, After: 1234567, What: "it is gone"}
	}
	many[0].Group, many[0].Kind = true, stale
	require.NoError(t, writeStress(&b, &stress{launches: 20, seed: 7, results: []stressResult{
		{Launcher: "good", Window: 12 * time.Millisecond, Whole: 15, Nothing: 5},
		{Launcher: "bad", Window: 1234567, Whole: 8, Incidents: many},
		{Launcher: "none", Failed: "launch failed: no"},
	}}))
	require.Equal(t, `seed 7: 20 launches each, the manager or its group killed in the middle

good, killed within 12ms: 15 whole, 5 not at all, 0 lost, 0 stale, 0 half-started

bad, killed within 1.23ms: 8 whole, 0 not at all, 11 lost, 1 stale, 0 half-started
  launch 1, its group killed after 1.235ms: stale: it is gone
  launch 2, the manager killed after 1.235ms: lost: it is gone
`, b.String()[:strings.Index(b.String(), "  launch 3")])
	require.True(t, strings.HasSuffix(b.String(), "\n  and 2 more\n\nnone: launch failed: no\n"))
}
