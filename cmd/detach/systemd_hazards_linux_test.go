package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// What a service cannot be, auto forks, with a warning; asked for a service by
// name, detach refuses.
func TestSystemdUnfit(t *testing.T) {
	got := inSections(t, lab.Systemd, `
mkdir /run/w; cd /run/w
service() { systemd-run -q --pipe --wait -G --unit=panel -p WorkingDirectory=/run/w "$@" 2>&1 | sed 's/^[0-9]*$/PID/'; }
via() { sed -n 's/.*"via": "\(.*\)",/\1/p' $1.pid.json; }
say descriptor; service "$D" -o log -p 1.pid --ready fd=3 -- sh -c 'echo >&3; exec sleep 1000'; via 1; "$D" stop -q 1.pid
say descriptor, systemd; service "$D" --via systemd -o log -p 2.pid --ready fd=3 -- sh -c 'echo >&3; exec sleep 1001'; ls 2.pid* 2>/dev/null; pgrep -fx 'sleep 1001'
own='mkdir -p /run/w/own && mount -t tmpfs own /run/w/own && cp /bin/sleep own && cd own &&'
say namespace; service unshare -m sh -c "$own"' "$0" -o ../log -p ../3.pid -- ./sleep 1002' "$D"; via 3; "$D" stop -q 3.pid
say namespace, systemd; service unshare -m sh -c "$own"' "$0" --via systemd -o ../log -p ../4.pid -- ./sleep 1003' "$D"; ls 4.pid* 2>/dev/null; pgrep -fx './sleep 1003'
say deleted directory; service sh -c 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -o /run/w/log -p /run/w/5.pid -- sleep 1004' "$D"; via 5; "$D" stop -q 5.pid
say deleted directory, systemd; service sh -c 'mkdir gone && cd gone && rmdir ../gone && exec "$0" --via systemd -o /run/w/log -p /run/w/6.pid -- sleep 1005' "$D"; ls 6.pid* 2>/dev/null; pgrep -fx 'sleep 1005'
true
`)
	const warning = `(?s)^detach: warning: it is in the cgroup of panel\.service, which has KillMode=control-group: .*; it is no service of its own because: `
	require.Regexp(t, warning+`(detach: )?ready fd=3: systemd passes no such descriptor on\nhint: .*\nPID\nfork$`, got["descriptor"])
	require.Regexp(t, `^detach: ready fd=3: systemd passes no such descriptor on\nhint: --ready notify, .*$`, got["descriptor, systemd"])
	require.Regexp(t, warning+`.*/run/w/own: is another file, or none, outside the mount namespace of the caller\nhint: .*\nPID\nfork$`, got["namespace"])
	require.Regexp(t, `^detach: find /run/w/own: is another file, or none, outside the mount namespace of the caller$`, got["namespace, systemd"])
	require.Regexp(t, warning+`chdir \.: no such file or directory\nhint: .*\nPID\nfork$`, got["deleted directory"])
	require.Equal(t, "detach: chdir .: no such file or directory", got["deleted directory, systemd"])
}

// A limit on memory that the manager and a forked daemon share.
func TestHazardMemory(t *testing.T) {
	got := inSections(t, lab.Systemd, `
say enforced; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/system.slice/memory.max 2>/dev/null | wc -l
say limited; systemd-run -q --pipe --wait -G --unit=panel -p MemoryMax=300M "$D" hazards --via fork -o log
say start; systemd-run -q --pipe --wait -G --unit=panel -p MemoryMax=300M "$D" --via fork --strict -o /run/log -- sleep 1000 2>&1; pgrep -fx 'sleep 1000'
say a service; systemd-run -q --pipe --wait -G --unit=panel -p MemoryMax=300M "$D" hazards -o log
say unlimited; systemd-run -q --pipe --wait -G --unit=panel "$D" hazards --via fork -o log
true
`)
	if got["enforced"] == "0" {
		lab.Skip(t, "no memory limit is enforced here")
	}
	text := regexp.MustCompile(`it shares a memory limit of 300 MiB with its manager, in the cgroup \S*/panel\.service`)
	require.Regexp(t, text, got["limited"])
	require.Contains(t, got["limited"], "hint: start it with --via systemd, or give the manager's cgroup more memory")
	require.Regexp(t, text, got["start"])
	require.NotRegexp(t, text, got["a service"], "a limit that it does not share")
	require.NotContains(t, got["unlimited"], "300 MiB")
}

// A PID 1 that leaves orphans as they are.
func TestHazardUnreaped(t *testing.T) {
	lab.Root(t)
	for init, hazard := range map[string]bool{"exec sleep 1000": true, "while :; do wait; sleep .01; done": false} {
		cmd := exec.Command(lab.Program(t, "unshare"), "-f", "-p", "--mount-proc", "--kill-child", "sh", "-c", `
(sh -c 'until [ "$(tr "\0" " " </proc/1/cmdline)" = "sleep 1000 " ] || [ -e "$0" ]; do :; done' "$1" &)
(until grep -qs "^State:.*zombie" /proc/[0-9]*/status || [ -e "$1" ]; do :; done; "$0" hazards --via fork -o log; echo end) &
`+init, lab.Bin(t, "detach"), reaps(t, hazard))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var lines []string
		for scanner := bufio.NewScanner(out); scanner.Scan() && scanner.Text() != "end"; {
			lines = append(lines, scanner.Text())
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed
		text := regexp.MustCompile(`hazard: PID 1 \(sleep\) does not reap the orphans that it is given, 1 of them (is|are) left`)
		require.NotEmpty(t, lines)
		require.Equal(t, hazard, slices.ContainsFunc(lines, text.MatchString), "%q", lines)
	}
}

// reaps returns a file that is there if the init reaps.
func reaps(t *testing.T, hazard bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "reaps")
	if !hazard {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	return path
}

// A negative oom_score_adj is inherited. Few may set one, so /proc tells of it
// by a mount.
func TestHazardNegativeOOMScore(t *testing.T) {
	lab.Root(t)
	score := filepath.Join(t.TempDir(), "score")
	require.NoError(t, os.WriteFile(score, []byte("-500\n"), 0o600))
	run := func(args ...string) string {
		cmd := exec.Command(lab.Program(t, "unshare"), append([]string{"-m", "sh", "-c",
			`mount --bind "$0" /proc/$$/oom_score_adj && exec "$@"`, score, lab.Bin(t, "detach")}, args...)...)
		cmd.Dir = t.TempDir()
		out, _ := cmd.CombinedOutput() // its status says that there are hazards
		return string(out)
	}
	const text = "its oom_score_adj is -500, by itself or inherited: when memory runs out, the kernel ends others in its place\n"
	const hint = "hint: if that is not meant: choom -n 0 -- detach ...\n"
	out := run("hazards", "--via", "fork", "-o", "log")
	require.Contains(t, out, "hazard: "+text+"  "+hint)
	mark := lab.Mark()
	out = run("--via", "fork", "--strict", "-o", "log", "--", "sleep", mark)
	require.Contains(t, out, strings.TrimSuffix(text, "\n"))
	require.Empty(t, lab.WithArgument(t, mark))
}

// Where there is no systemd, auto costs one look for it: all else that is opened,
// looked up or connected to is as with fork.
func TestAutoCostsOneSystemCall(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		lab.Skip(t, "there is a systemd here")
	}
	calls := func(via string) []string {
		dir := t.TempDir()
		trace := filepath.Join(dir, "trace")
		cmd := exec.Command(lab.Program(t, "strace"), "-f", "-qq", "-o", trace, "-e", "trace=%file,%network",
			lab.Bin(t, "detach"), "--via", via, "-o", "log", "-p", "pid", "--", "sleep", "1000")
		cmd.Dir = dir
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		require.NoError(t, err)
		require.NoError(t, lab.Hold(t, pid).Signal(unix.SIGKILL)) // strace waits for it
		require.NoError(t, cmd.Wait())
		data, err := os.ReadFile(trace)
		require.NoError(t, err)
		daemon := strconv.Itoa(pid) + " "
		var list []string
		for line := range strings.Lines(string(data)) {
			// The daemon's own are not counted, nor how often it is looked at
			// until its exec is complete, nor what the runtime looks at now and
			// then.
			if strings.HasPrefix(line, daemon) || !strings.Contains(line, "(") || strings.Contains(line, " resumed>") || strings.Contains(line, "/sys/fs/cgroup/") || regexp.MustCompile(`"/proc/\d+/`).MatchString(line) {
				continue
			}
			list = append(list, line)
		}
		return list
	}
	auto, fork := calls("auto"), calls("fork")
	looks := func(line string) bool { return strings.Contains(line, `"/run/systemd/system"`) }
	require.True(t, slices.ContainsFunc(auto, looks))
	require.False(t, slices.ContainsFunc(fork, looks))
	require.Len(t, auto, len(fork)+1)
}
