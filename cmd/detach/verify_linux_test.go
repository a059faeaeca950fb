package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// python is the system's: a version manager's is a script that starts it.
const python = "/usr/bin/python3"

// subject returns a command that leaves a process nothing of what this one has
// by chance: descriptors and variables of whoever runs the tests.
func subject(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	require.NoError(t, unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC))
	cmd := exec.Command(lab.Program(t, argv[0]), argv[1:]...)
	cmd.Env = detach.Environ()
	cmd.Dir = t.TempDir()
	return cmd
}

// child starts a subject that becomes "sleep MARK", and ends it with the test.
func child(t *testing.T, cmd *exec.Cmd, mark string) int {
	t.Helper()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return awaitSleep(t, mark)
}

// awaitSleep returns the one process that is "sleep MARK".
func awaitSleep(t *testing.T, mark string) int {
	t.Helper()
	lab.KillMarked(t, mark)
	var pids []int
	lab.Until(t, "sleep "+mark, func() bool {
		pids = lab.WithArgument(t, mark)
		return len(pids) == 1 && isSleep(pids[0])
	})
	lab.AwaitExec(t, pids[0])
	return pids[0]
}

// manage starts a manager that starts "sleep MARK" and then reads its standard
// input, which ends with the test.
func manage(t *testing.T, cmd *exec.Cmd, mark string) int {
	t.Helper()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return awaitSleep(t, mark)
}

func isSleep(pid int) bool { return lab.Contains(fmt.Sprintf("/proc/%d/comm", pid), "sleep") }

// verdict runs detach verify and returns what it finds.
func verdict(t *testing.T, prefix []string, target string) (v verified, status int) {
	t.Helper()
	argv := append(prefix, lab.Bin(t, "detach"), "verify", "--json", target)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, _ := cmd.Output()
	require.Empty(t, stderr.String())
	require.NoError(t, json.Unmarshal(out, &v), "%s", out)
	t.Logf("%s", out)
	return v, cmd.ProcessState.ExitCode()
}

// failedChecks returns the names of what does not hold, and got in words.
func failedChecks(v verified) (names []string, got map[string]string) {
	got = map[string]string{}
	for _, c := range v.Checks {
		got[c.Name] = c.Got
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names, got
}

func hazardCodes(v verified) (codes []detach.HazardCode) {
	for _, h := range v.Hazards {
		codes = append(codes, h.Code)
	}
	return codes
}

// How people start a server that is to outlive them, and what is wrong with it.
func TestVerifyTellsWhy(t *testing.T) {
	self := fmt.Sprintf(`PID %d \(`, os.Getpid())
	for name, c := range map[string]struct {
		start     func(t *testing.T, mark string) int
		failed    []string
		diagnosis string
	}{
		"a plain child": {
			func(t *testing.T, mark string) int { return child(t, subject(t, "sleep", mark), mark) },
			[]string{"session", "parent"},
			`^it dies with its manager: by a signal to the process group \d+, in which ` + self + `.*` +
				`, by a signal to everybody in its session, \d+, .*, by a walk of the process tree below ` + self + `[^;]*$`,
		},
		"nohup": {
			func(t *testing.T, mark string) int { return child(t, subject(t, "nohup", "sleep", mark), mark) },
			[]string{"session", "parent"},
			`^it dies with its manager: by a signal to the process group .*; SIGHUP is ignored, as by nohup, so a hang-up alone does not end it$`,
		},
		"setsid, a child": {
			func(t *testing.T, mark string) int { return child(t, subject(t, "setsid", "sleep", mark), mark) },
			[]string{"leader", "parent"},
			`^it has a session of its own, but can still die with its manager: by a walk of the process tree below ` + self +
				`[^;]*; as a session leader it gets a controlling terminal, and dies of its hang-up, when it opens one$`,
		},
		"setsid -f": {
			func(t *testing.T, mark string) int {
				require.NoError(t, subject(t, "setsid", "-f", "sleep", mark).Run())
				return awaitSleep(t, mark)
			},
			[]string{"leader"},
			`^it outlives its manager, but not all is well; as a session leader it gets .* terminal, .*$`,
		},
		"start_new_session": {
			func(t *testing.T, mark string) int {
				return manage(t, subject(t, python, "-c", `import subprocess, sys
subprocess.Popen(["sleep", sys.argv[1].removeprefix("=")], start_new_session=True, stdin=subprocess.DEVNULL)
sys.stdin.read()`, "="+mark), mark)
			},
			[]string{"leader", "parent"},
			`^it has a session of its own, .*: by a walk of the process tree below PID \d+ \(python3[0-9.]*\); as a session leader .*$`,
		},
		"start_new_session with a pipe": {
			func(t *testing.T, mark string) int {
				return manage(t, subject(t, python, "-c", `import subprocess, sys
p = subprocess.Popen(["sleep", sys.argv[1].removeprefix("=")], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
sys.stdin.read()`, "="+mark), mark)
			},
			[]string{"leader", "parent", "stdout"},
			`^it has a session of its own, .*: by a walk of .*, by what it writes once its standard output has gone; as a session leader .*$`,
		},
		"daemonize": {
			func(t *testing.T, mark string) int {
				sleep := lab.Program(t, "sleep")
				require.NoError(t, subject(t, "daemonize", sleep, mark).Run())
				return awaitSleep(t, mark)
			},
			[]string{"leader"},
			`^it outlives its manager, but not all is well; as a session leader .*$`,
		},
		"detach": {
			func(t *testing.T, mark string) int {
				require.NoError(t, subject(t, lab.Bin(t, "detach"), "-q", "--", "sleep", mark).Run())
				return awaitSleep(t, mark)
			},
			nil,
			`^it is detached`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			pid := c.start(t, lab.Mark())
			v, status := verdict(t, nil, strconv.Itoa(pid))
			failed, _ := failedChecks(v)
			require.Equal(t, c.failed, failed)
			require.Equal(t, len(failed) == 0, v.OK)
			require.Equal(t, map[bool]int{true: verifyHolds, false: verifyFails}[v.OK], status)
			require.Regexp(t, c.diagnosis, v.Diagnosis)
			require.True(t, lab.Alive(pid), "it is only looked at")
		})
	}
}

// On a terminal there is more that can go, and nohup helps against one thing.
func TestVerifyOnATerminal(t *testing.T) {
	for name, nohup := range map[string]string{"alone": "", "nohup": "nohup "} {
		t.Run(name, func(t *testing.T) {
			mark := lab.Mark()
			master, tty, err := pty.Open()
			require.NoError(t, err)
			defer master.Close()
			defer tty.Close()
			cmd := subject(t, "sh", "-c", nohup+`sleep "${0#=}" & wait`, "="+mark)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			pid := awaitSleep(t, mark)
			v, status := verdict(t, nil, strconv.Itoa(pid))
			require.Equal(t, verifyFails, status)
			_, got := failedChecks(v)
			pts := strings.TrimPrefix(tty.Name(), "/dev/")
			shell := fmt.Sprintf("PID %d (sh)", cmd.Process.Pid)
			require.Equal(t, pts, got["terminal"])
			require.Equal(t, fmt.Sprintf("%d, that of %s", cmd.Process.Pid, shell), got["session"])
			require.Equal(t, shell, got["parent"])
			hangup := "by a hang-up of its terminal " + pts
			if nohup == "" {
				require.Equal(t, "terminal "+tty.Name(), got["stdout"])
				require.Contains(t, v.Diagnosis, hangup)
				require.NotContains(t, v.Diagnosis, "SIGHUP")
				require.Contains(t, hazardCodes(v), detach.HazardStdio)
			} else {
				require.Equal(t, filepath.Join(cmd.Dir, "nohup.out"), got["stdout"])
				require.NotContains(t, v.Diagnosis, hangup)
				require.Contains(t, v.Diagnosis, "SIGHUP is ignored")
				require.Contains(t, got["signals"], "SIGHUP")
			}
		})
	}
}

// A server that people run passes, found by its PID file.
func TestVerifyGameServer(t *testing.T) {
	dir := t.TempDir()
	argv := append([]string{lab.Bin(t, "detach"), "-C", dir, "-p", "pid", "-o", "log", "--console", "in", "--"}, lab.GameServer(t, dir)...)
	daemon, _ := started(t, subject(t, argv...))
	lab.Until(t, "Done", func() bool { return lab.Contains(filepath.Join(dir, "log"), "Done") })
	v, status := verdict(t, nil, filepath.Join(dir, "pid"))
	failed, got := failedChecks(v)
	require.Empty(t, failed)
	require.Equal(t, verifyHolds, status)
	require.Equal(t, daemon.PID, v.PID)
	require.True(t, v.Checked)
	require.Equal(t, "FIFO "+filepath.Join(dir, "in")+", which it holds open itself", got["stdin"])
	require.Equal(t, filepath.Join(dir, "log"), got["stdout"])
	require.Contains(t, got["signals"], "SIGTERM caught")
	require.Regexp(t, `^\d+ beyond 2, none of another process`, got["descriptors"])

	// Its log is deleted under it.
	require.NoError(t, os.Remove(filepath.Join(dir, "log")))
	v, status = verdict(t, nil, filepath.Join(dir, "pid"))
	require.Equal(t, verifyHolds, status)
	require.Contains(t, hazardCodes(v), detach.HazardLogDeleted)
	for _, h := range v.Hazards {
		if h.Code == detach.HazardLogDeleted {
			require.True(t, strings.HasPrefix(h.Text, "standard output and standard error: the log file "+filepath.Join(dir, "log")+" has been deleted"), h.Text)
		}
	}
}

// What only a service has is right for it, and wrong for who is not one but
// comes from there.
func TestVerifyUnderSystemd(t *testing.T) {
	const script = `
show() { # TITLE PID
	echo "== $1"
	"$0" verify $2
	echo "status $?"
}
executed() { until grep -qs nanosleep /proc/$(systemctl show -P MainPID $1)/wchan; do :; done; } # and no library is open any more
systemd-run -q --unit=game sleep 1000
executed game
show service $(systemctl show -P MainPID game)
show detached $("$0" --via fork -- sleep 1001)
setsid -f sleep 1002 </dev/null >/dev/null 2>&1
until pgrep -fx 'sleep 1002' >/dev/null; do :; done
show orphan $(pgrep -fx 'sleep 1002')
systemd-run -q --unit=shell sh -c 'sleep 1003 & wait'
until pgrep -fx 'sleep 1003' >/dev/null; do :; done
show helper $(pgrep -fx 'sleep 1003')
systemd-run -q --unit=listener --socket-property=ListenStream=/run/listener sleep 1004
systemctl start listener.service
executed listener
show listener $(systemctl show -P MainPID listener)
systemd-run -q --unit=pair sh -c 'setsid -f sleep 1005; exec sleep 1006'
until pgrep -fx 'sleep 1006' >/dev/null; do :; done
show pair $(systemctl show -P MainPID pair)
systemd-run -q --unit=left -p RemainAfterExit=yes "$0" -q --via fork -- sh -c 'setsid -f sleep 1007; setsid sleep 1008 & exec sleep 1009'
until pgrep -fx 'sleep 1009' >/dev/null && [ "$(systemctl show -P SubState left)" = exited ]; do :; done
until pkill -fx 'sleep 1007'; do :; done
while pgrep -r DRSTt -fx 'sleep 1007' >/dev/null; do :; done
show left $(pgrep -fx 'sleep 1009')
systemd-run -q --scope --unit=login sh -c 'sleep 1010 & '"$0"' -q --via fork -- sleep 1011'
until pgrep -fx 'sleep 1010' >/dev/null && pgrep -fx 'sleep 1011' >/dev/null; do :; done
show scope $(pgrep -fx 'sleep 1011')
systemd-run -q --unit=lenient -p KillMode=process sh -c "$0"' -q --via fork -- sleep 1012; exec sleep 1013'
until pgrep -fx 'sleep 1013' >/dev/null; do :; done
show lenient $(pgrep -fx 'sleep 1012')
systemctl stop lenient
show survivor $(pgrep -fx 'sleep 1012')
mv /run/systemd/private /run/systemd/private.away
DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/none show unasked $(pgrep -fx 'sleep 1001')
`
	cmd := lab.Systemd(t, "sh", "-c", script, lab.Bin(t, "detach"))
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Logf("%s", out)
	sections := map[string]string{}
	for _, section := range strings.Split(string(out), "== ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		sections[title] = text
	}

	require.NotContains(t, sections["service"], "NO")
	require.Contains(t, sections["service"], "session leader, as systemd starts its services")
	require.Contains(t, sections["service"], "ok  stdout       the journal of systemd\n")
	require.NotContains(t, sections["service"], "cgroup")
	require.NotContains(t, sections["service"], "container", "systemd ends with the machine")
	require.Contains(t, sections["service"], "status 0")

	require.NotContains(t, sections["detached"], "NO")
	require.Regexp(t, `hazard: it is in the cgroup of sdtest-cmd\.service together with PID \d+ \(bash\).*, and sdtest-cmd\.service has KillMode=control-group: systemctl stop`, sections["detached"])
	require.Contains(t, sections["detached"], "KillMode=process in sdtest-cmd.service")
	require.Contains(t, sections["detached"], "it is detached, but not from the end of the unit whose cgroup it is in\nstatus 0")

	require.Contains(t, sections["orphan"], "NO  leader       session leader; want:")
	require.Contains(t, sections["orphan"], "NO  environment  INVOCATION_ID")
	require.Contains(t, sections["orphan"], "hazard: it is in the cgroup of sdtest-cmd.service")
	require.Contains(t, sections["orphan"], "; what else can end it: the end of the unit whose cgroup it is in\nstatus 1")

	// systemd keeps the socket that it has passed.
	require.NotContains(t, sections["listener"], "NO")
	require.Contains(t, sections["listener"], "ok  descriptors  1 beyond 2, none of another process")
	require.Contains(t, sections["listener"], "status 0")

	// Its own processes may be where they like, and what is left of a service
	// when its main process has ended is nobody's but the daemon's.
	require.NotContains(t, sections["pair"], "cgroup")
	require.NotContains(t, sections["left"], "cgroup")
	require.Contains(t, sections["left"], "status 0")

	require.Regexp(t, `hazard: it is in the cgroup of login\.scope together with PID \d+ \(sleep\), and login\.scope has KillMode=control-group: `, sections["scope"])

	require.NotContains(t, sections["lenient"], "cgroup", "systemd was asked")
	require.NotContains(t, sections["survivor"], "cgroup")
	require.Contains(t, sections["survivor"], "status 0")
	require.Regexp(t, `hazard: it is in the cgroup of sdtest-cmd\.service together with .*: systemctl stop or restart of that unit ends it too, unless the unit says KillMode=process\n`, sections["unasked"])

	require.Contains(t, sections["helper"], "NO  session")
	require.Contains(t, sections["helper"], "NO  environment  INVOCATION_ID and SYSTEMD_EXEC_PID;") // its output is the journal
	require.Contains(t, sections["helper"], "hazard: it is in the cgroup of shell.service together with")
}

// A process of another PID namespace ends with that.
func TestVerifyInAnotherPIDNamespace(t *testing.T) {
	lab.Root(t)
	mark := lab.Mark()
	cmd := subject(t, "unshare", "--fork", "--pid", "--kill-child", "--mount-proc", "sh", "-c",
		`"$0" -q -- sleep "${1#=}"; "$0" verify $("$0" -- sleep 1000); echo done; read x`, lab.Bin(t, "detach"), "="+mark)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	pid := manage(t, cmd, mark)
	var inside strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "done"; { // and both are adopted
		fmt.Fprintln(&inside, lines.Text())
	}
	v, status := verdict(t, nil, strconv.Itoa(pid))
	failed, got := failedChecks(v)
	require.Empty(t, failed)
	require.Equal(t, verifyHolds, status)
	require.Regexp(t, `^PID \d+ \(sh\)$`, got["parent"])
	require.Equal(t, []detach.HazardCode{detach.HazardNamespace}, hazardCodes(v))
	require.Equal(t, "it is in another PID namespace: when PID 1 of that, "+got["parent"]+" here, ends, the kernel kills everything in it", v.Hazards[0].Text)
	require.Equal(t, "it is detached, but not from the end of its container", v.Diagnosis)

	require.NotContains(t, inside.String(), "NO")
	require.Contains(t, inside.String(), "hazard: it is in the PID namespace of a container: when PID 1 (sh) ends")

	// Its PID 1 is another matter: a child.
	init, ok := lab.ReadStatus(pid)
	require.True(t, ok)
	v, status = verdict(t, nil, init["PPid"])
	require.Equal(t, verifyFails, status)
	require.Equal(t, []detach.HazardCode{detach.HazardNamespace, detach.HazardStdio, detach.HazardStdio}, hazardCodes(v))
	require.True(t, strings.HasPrefix(v.Hazards[0].Text, "it is PID 1 of a PID namespace"))
}

var nobody = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}

// What an unprivileged user may not see is not said to be well.
func TestVerifyOfAnotherUser(t *testing.T) {
	lab.Root(t)
	lab.Program(t, nobody[0])
	denied := []string{"stdin", "stdout", "stderr", "descriptors", "environment"}

	mark := lab.Mark()
	require.NoError(t, subject(t, lab.Bin(t, "detach"), "-q", "--", "sleep", mark).Run())
	v, status := verdict(t, nobody, strconv.Itoa(awaitSleep(t, mark)))
	failed, got := failedChecks(v)
	require.Equal(t, denied, failed)
	for _, name := range denied {
		require.Equal(t, "cannot be told: permission denied", got[name])
	}
	require.Equal(t, verifyUnknown, status)
	require.Equal(t, "as far as can be told it is detached; its stdin, stdout, stderr, descriptors and environment cannot be told: ask as its user, 0, or as root", v.Diagnosis)

	// What can be told counts.
	mark = lab.Mark()
	v, status = verdict(t, nobody, strconv.Itoa(child(t, subject(t, "sleep", mark), mark)))
	failed, _ = failedChecks(v)
	require.Equal(t, append([]string{"session", "parent"}, denied...), failed)
	require.Equal(t, verifyFails, status)
	require.True(t, strings.HasPrefix(v.Diagnosis, "it dies with its manager: "), v.Diagnosis)

	// Who has the other end of its own pipe is another matter.
	mark = lab.Mark()
	cmd := subject(t, append(nobody, "sleep", mark)...)
	cmd.Dir = "/"
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	defer out.Close()
	v, status = verdict(t, nobody, strconv.Itoa(child(t, cmd, mark)))
	require.Equal(t, verifyFails, status)
	_, got = failedChecks(v)
	require.Equal(t, "pipe, read by somebody who cannot be seen, or nobody", got["stdout"])
}

// Where /proc hides it nothing is to be said but that it is there.
func TestVerifyOfAHiddenProcess(t *testing.T) {
	lab.Root(t)
	lab.Program(t, nobody[0])
	mark := lab.Mark()
	require.NoError(t, subject(t, lab.Bin(t, "detach"), "-q", "--", "sleep", mark).Run())
	pid := awaitSleep(t, mark)
	hidden := append([]string{lab.Program(t, "unshare"), "--mount", "sh", "-c", `mount -t proc -o hidepid=2 proc /proc && exec "$@"`, "sh"}, nobody...)
	v, status := verdict(t, hidden, strconv.Itoa(pid))
	require.Equal(t, verifyUnknown, status)
	for _, c := range v.Checks {
		if c.Name == "alive" {
			require.True(t, c.OK)
			continue
		}
		require.False(t, c.OK)
		require.True(t, c.Unknown)
		require.Equal(t, "cannot be told: hidden in /proc", c.Got, c.Name)
	}
	require.Equal(t, "it cannot be told whether it is detached: hidden in /proc: ask as its user, or as root", v.Diagnosis)
	require.Empty(t, v.Hazards)

	// Its own process it sees well, though not whom that belongs to.
	own := append(hidden, lab.Bin(t, "detach"), "--", "sleep", mark)
	out, err := exec.Command(own[0], own[1:]...).Output()
	require.NoError(t, err)
	v, status = verdict(t, hidden, strings.TrimSpace(string(out)))
	failed, _ := failedChecks(v)
	require.Empty(t, failed)
	require.Equal(t, verifyHolds, status)
}

// A program's name is its own choice, and must not be read as ours.
func TestVerifyOddNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a b", ") R 1 2 3 (", "(", "a\nb: c", "Uid:\t0\nx", "\xff\x1b[2J"} {
		t.Run(strconv.Quote(name), func(t *testing.T) {
			path := filepath.Join(dir, name)
			shell, err := os.ReadFile(lab.Program(t, "sh"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path+".tmp", shell, 0o700))
			require.NoError(t, exec.Command("mv", path+".tmp", path).Run()) // nobody has it open for writing
			mark := lab.Mark()
			cmd := subject(t, path, "-c", `"$1" -q -- "$0" -c 'read x' "$2"; sleep "$3" & read x`, path, lab.Bin(t, "detach"), "-"+mark, mark)
			cmd.Args[len(cmd.Args)-1] = mark
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
			lab.KillMarked(t, mark)

			var pids []int
			lab.Until(t, "the child", func() bool {
				pids = lab.WithArgument(t, mark)
				for _, pid := range pids {
					if isSleep(pid) {
						pids[0] = pid
						return true
					}
				}
				return false
			})
			v, status := verdict(t, nil, strconv.Itoa(pids[0]))
			require.Equal(t, verifyFails, status)
			_, got := failedChecks(v)
			comm := name[:min(15, len(name))]
			require.Equal(t, fmt.Sprintf("PID %d (%q)", cmd.Process.Pid, comm), got["parent"])
			v, status = verdict(t, nil, strconv.Itoa(cmd.Process.Pid))
			require.Equal(t, verifyFails, status)
			require.Equal(t, 11, len(v.Checks))

			text, err := exec.Command(lab.Bin(t, "detach"), "verify", strconv.Itoa(cmd.Process.Pid)).Output()
			require.Error(t, err)
			require.Len(t, strings.Split(string(text), "\n"), 1+11+2*len(v.Hazards)+1+1, "%s", text)
			require.NotContains(t, string(text), "\x1b")
		})
	}
}

var checkLine = regexp.MustCompile(`(?m)^(ok|NO|\?) +[a-z]+ +\S`)

// Whatever is looked at may end at any moment of that.
func TestVerifyOfWhatEnds(t *testing.T) {
	bin := lab.Bin(t, "detach")
	statuses := map[int]int{}
	for n := range 300 {
		// From one that ends at once to one that lives as long as the look takes.
		cmd := subject(t, "sh", "-c", `i=0; while [ $i -lt $0 ]; do i=$((i+1)); done`, strconv.Itoa(n*40))
		require.NoError(t, cmd.Start())
		go func() { _ = cmd.Wait() }()
		verify := exec.Command(bin, "verify", strconv.Itoa(cmd.Process.Pid))
		out, _ := verify.CombinedOutput()
		status := verify.ProcessState.ExitCode()
		statuses[status]++
		switch status {
		case verifyHolds, verifyFails:
			require.Len(t, checkLine.FindAllString(string(out), -1), 11, "%s", out)
		case verifyAbsent:
			require.Regexp(t, `^detach: (find|verify) \d+: exited already\n$`, string(out))
		default:
			require.Fail(t, "exit status", "%d: %s", status, out)
		}
	}
	t.Log(statuses)
	require.NotZero(t, statuses[verifyFails])
	require.NotZero(t, statuses[verifyAbsent])
}

// A subreaper that has adopted it may be its manager, or only further up.
func TestVerifyBelowASubreaper(t *testing.T) {
	mark := lab.Mark()
	argv := append(hostile(t, "-subreaper"), "sh", "-c", `"$0" -q -- sleep "${1#=}"; echo; read x`, lab.Bin(t, "detach"), "="+mark)
	cmd := subject(t, argv...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	pid := manage(t, cmd, mark)
	_, err = bufio.NewReader(out).ReadString('\n') // it is adopted
	require.NoError(t, err)
	v, status := verdict(t, nil, strconv.Itoa(pid))
	require.Equal(t, verifyHolds, status)
	_, got := failedChecks(v)
	require.Equal(t, fmt.Sprintf("PID %d (sh), which has adopted it", cmd.Process.Pid), got["parent"])
	require.Contains(t, hazardCodes(v), detach.HazardSubreaper)
	require.Contains(t, v.Diagnosis, "it is detached, but not from ")
	require.Contains(t, v.Diagnosis, "the process tree it was adopted into")
}

// What a start has to tell its daemon is the daemon's own.
func TestVerifyOfWhatWasWaitedFor(t *testing.T) {
	mark := lab.Mark()
	cmd := subject(t, lab.Bin(t, "detach"), "-q", "-p", "pid", "--ready", "notify", "--ready", "fd=3", "--", python, "-c", `import os, socket, sys
os.write(3, b"\n")
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect("\0" + os.environ["NOTIFY_SOCKET"][1:])
notify.send(b"READY=1")
os.execvp("sleep", ["sleep", sys.argv[1].removeprefix("=")])`, "="+mark)
	require.NoError(t, cmd.Run())
	for _, target := range []string{filepath.Join(cmd.Dir, "pid"), strconv.Itoa(awaitSleep(t, mark))} {
		v, status := verdict(t, nil, target)
		require.Equal(t, verifyHolds, status)
		require.True(t, v.OK)
	}
}

// What a program does with SIGTERM is its own affair, if it is its own.
func TestVerifySignals(t *testing.T) {
	for name, c := range map[string]struct {
		argv     []string
		ok       bool
		got      string
		detached string // of a daemon of detach with a record
	}{
		"ignored": {[]string{"sh", "-c", `trap "" TERM; exec sleep "${0#=}"`}, false,
			"SIGTERM ignored, by itself or inherited", "SIGTERM ignored, by itself"},
		"blocked": {[]string{python, "-c", `import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.execvp("sleep", ["sleep", sys.argv[1].removeprefix("=")])`}, false,
			"SIGTERM blocked, by itself or inherited", "SIGTERM blocked, by itself"},
		"read": {[]string{python, "-c", `import ctypes, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
mask = (ctypes.c_uint64 * 16)(1 << signal.SIGTERM - 1)
fd = ctypes.CDLL(None).signalfd(-1, mask, 0)
os.set_inheritable(fd, True)
os.execvp("sleep", ["sleep", sys.argv[1].removeprefix("=")])`}, true,
			"SIGTERM read from a descriptor", "SIGTERM read from a descriptor"},
		"hang-up": {[]string{"sh", "-c", `trap "" HUP INT; exec sleep "${0#=}"`}, true,
			"SIGTERM by default; SIGHUP and SIGINT ignored, by itself or inherited", "SIGTERM by default; SIGHUP and SIGINT ignored, by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			mark := lab.Mark()
			pid := child(t, subject(t, append(c.argv, "="+mark)...), mark)
			v, _ := verdict(t, nil, strconv.Itoa(pid))
			failed, got := failedChecks(v)
			require.Contains(t, got["signals"], c.got)
			if c.ok {
				require.NotContains(t, failed, "signals")
			} else {
				require.Contains(t, failed, "signals")
				require.Contains(t, v.Diagnosis, "SIGTERM does not end it, only SIGKILL does")
			}

			mark = lab.Mark()
			cmd := subject(t, append(append([]string{lab.Bin(t, "detach"), "-q", "-p", "pid", "--"}, c.argv...), "="+mark)...)
			require.NoError(t, cmd.Run())
			awaitSleep(t, mark)
			v, status := verdict(t, nil, filepath.Join(cmd.Dir, "pid"))
			require.Equal(t, verifyHolds, status)
			_, got = failedChecks(v)
			require.Equal(t, c.detached, got["signals"])
		})
	}
}

// A thread that takes SIGTERM is enough.
func TestVerifySignalOfOneThread(t *testing.T) {
	cmd := subject(t, python, "-c", `import signal, sys, threading
threading.Thread(target=sys.stdin.read).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("up", flush=True)
threading.Event().wait()`)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	v, _ := verdict(t, nil, strconv.Itoa(cmd.Process.Pid))
	failed, _ := failedChecks(v)
	require.NotContains(t, failed, "signals")
}

// What it has from another process and keeps open.
func TestVerifyDescriptors(t *testing.T) {
	self := fmt.Sprintf("also open in PID %d (", os.Getpid())
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	socket, peer := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "peer")
	defer socket.Close()
	defer peer.Close()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	defer file.Close()

	mark := lab.Mark()
	cmd := subject(t, "setsid", "sleep", mark)
	cmd.ExtraFiles = []*os.File{socket, file, w}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, w, socket
	pid := child(t, cmd, mark)
	v, _ := verdict(t, nil, strconv.Itoa(pid))
	failed, got := failedChecks(v)
	require.Equal(t, []string{"leader", "parent", "stdin", "stdout", "stderr", "descriptors"}, failed)
	words := strings.Split(got["descriptors"], "; ")
	require.Len(t, words, 2, "a file may be its own")
	require.True(t, strings.HasPrefix(words[0], "3, a socket "+self), words[0])
	require.True(t, strings.HasPrefix(words[1], "5, a pipe "+self), words[1])
	require.Contains(t, v.Diagnosis, "it keeps a socket of another process open")
	require.Regexp(t, fmt.Sprintf(`^pipe, written by PID %d \(`, os.Getpid()), got["stdin"])
	require.Regexp(t, fmt.Sprintf(`^pipe, read by PID %d \(`, os.Getpid()), got["stdout"])
	require.Regexp(t, fmt.Sprintf(`^socket, connected with PID %d \(`, os.Getpid()), got["stderr"])
	require.Equal(t, []detach.HazardCode{detach.HazardStdio, detach.HazardStdio, detach.HazardStdio}, hazardCodes(v))

	// Whoever looks has it too, of its caller, which does not count.
	looking := lookWith(t, pid, w)
	require.NoError(t, r.Close())
	require.NoError(t, w.Close())
	require.NoError(t, socket.Close())
	v = looking()
	_, got = failedChecks(v)
	require.Regexp(t, `^3 beyond 2, none of another process`, got["descriptors"])

	// Nobody has the other ends any more: it holds the writing end itself.
	require.Equal(t, "pipe, written by itself", got["stdin"])
	require.Equal(t, "pipe, read by itself", got["stdout"])
	require.NoError(t, peer.Close())
	v, _ = verdict(t, nil, strconv.Itoa(pid))
	failed, got = failedChecks(v)
	require.Equal(t, "socket", got["stderr"])
	require.Equal(t, []string{"leader", "parent", "stderr"}, failed)
}

// lookWith returns a function that looks at a process, which has been running
// for some time, in a process that has a file open.
func lookWith(t *testing.T, pid int, file *os.File) func() verified {
	const startTime = 22
	for {
		cmd := subject(t, "sh", "-c", `read x; exec "$0" verify --json "$1"`, lab.Bin(t, "detach"), strconv.Itoa(pid))
		cmd.ExtraFiles = []*os.File{file}
		var out bytes.Buffer
		cmd.Stdout = &out
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		if stat(t, cmd.Process.Pid, startTime) == stat(t, pid, startTime) {
			require.NoError(t, in.Close())
			_ = cmd.Wait()
			continue
		}
		return func() (v verified) {
			_, err := in.Write([]byte("\n"))
			require.NoError(t, err)
			_ = cmd.Wait()
			require.NoError(t, json.Unmarshal(out.Bytes(), &v), out.String())
			return v
		}
	}
}

// Standard output and error are mostly the same, and then one hazard.
func TestVerifyCombinedOutput(t *testing.T) {
	mark := lab.Mark()
	cmd := subject(t, "setsid", "sleep", mark)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	cmd.Stdout, cmd.Stderr = w, w
	v, _ := verdict(t, nil, strconv.Itoa(child(t, cmd, mark)))
	require.Equal(t, []detach.HazardCode{detach.HazardStdio}, hazardCodes(v))
	require.True(t, strings.HasPrefix(v.Hazards[0].Text, "standard output and standard error are a pipe, read by PID "), v.Hazards[0].Text)
}

// A pipe to a process of its own lasts as long as the daemon.
func TestVerifyOwnPipe(t *testing.T) {
	mark := lab.Mark()
	cmd := subject(t, lab.Bin(t, "detach"), "-q", "-p", "pid", "--", python, "-c", `import os, subprocess, sys
logger = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
os.dup2(logger.stdin.fileno(), 1)
os.dup2(logger.stdin.fileno(), 2)
os.execvp("sleep", ["sleep", sys.argv[1].removeprefix("=")])`, "="+mark)
	require.NoError(t, cmd.Run())
	awaitSleep(t, mark)
	v, status := verdict(t, nil, filepath.Join(cmd.Dir, "pid"))
	_, got := failedChecks(v)
	require.Regexp(t, `^pipe, read by PID \d+ \(cat\) of its own$`, got["stdout"])
	require.Equal(t, got["stdout"], got["stderr"])
	require.Equal(t, verifyHolds, status)
	require.NotContains(t, hazardCodes(v), detach.HazardStdio)
}

// Standard input that may end, and what is closed.
func TestVerifyStandardInput(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	mark := lab.Mark()
	cmd := subject(t, "sh", "-c", `exec setsid sleep "${0#=}" 3<>"$1" <"$1" 3>&- >&- `, "="+mark, fifo)
	holder, err := os.OpenFile(fifo, os.O_RDWR, 0)
	require.NoError(t, err)
	defer holder.Close()
	pid := child(t, cmd, mark)
	// Its dynamic linker opens libraries, as 1.
	lab.Until(t, "its sleep", func() bool { return lab.Contains(fmt.Sprintf("/proc/%d/wchan", pid), "nanosleep") })
	v, _ := verdict(t, nil, strconv.Itoa(pid))
	failed, got := failedChecks(v)
	require.Equal(t, []string{"leader", "parent", "stdin"}, failed)
	require.Regexp(t, fmt.Sprintf(`^FIFO %s, written by PID %d \(`, fifo, os.Getpid()), got["stdin"])
	require.Equal(t, "closed", got["stdout"])
	require.Contains(t, v.Diagnosis, "its standard input may come to an end")
	require.NoError(t, holder.Close())
	v, _ = verdict(t, nil, strconv.Itoa(pid))
	_, got = failedChecks(v)
	require.Regexp(t, `^FIFO `+fifo+`, (which nobody writes|written by somebody who cannot be seen, or nobody)$`, got["stdin"])
}

// A variable that speaks of the manager, and those that CI runners look for.
func TestVerifyEnvironment(t *testing.T) {
	for name, c := range map[string]struct {
		env    []string
		failed string
		ci     string
	}{
		"none":                {[]string{"BUILD_ID=7", "RUNNER_TRACKING_ID=0"}, "", ""},
		"systemd":             {[]string{"NOTIFY_SOCKET=/run/systemd/notify", "WATCHDOG_PID=1", "WATCHDOG_USEC=1"}, "NOTIFY_SOCKET, WATCHDOG_PID and WATCHDOG_USEC", ""},
		"a Jenkins pipeline":  {[]string{"JENKINS_NODE_COOKIE=1f2e"}, "", "JENKINS_NODE_COOKIE"},
		"a Jenkins job":       {[]string{"JENKINS_SERVER_COOKIE=1f2e", "BUILD_ID=7"}, "", "JENKINS_SERVER_COOKIE and BUILD_ID"},
		"Jenkins, told":       {[]string{"JENKINS_NODE_COOKIE=dontKillMe", "JENKINS_SERVER_COOKIE=1f2e", "BUILD_ID=dontKillMe"}, "", ""},
		"GitHub Actions":      {[]string{"RUNNER_TRACKING_ID=github_1f2e"}, "", "RUNNER_TRACKING_ID"},
		"GitHub Actions, not": {[]string{"RUNNER_TRACKING_ID="}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			mark := lab.Mark()
			cmd := subject(t, "setsid", "-f", "sleep", mark)
			cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, c.env...)
			require.NoError(t, cmd.Run())
			v, _ := verdict(t, nil, strconv.Itoa(awaitSleep(t, mark)))
			failed, got := failedChecks(v)
			if c.failed == "" {
				require.NotContains(t, failed, "environment")
			} else {
				require.Contains(t, failed, "environment")
				require.Equal(t, c.failed, got["environment"])
			}
			text := ""
			for _, h := range v.Hazards {
				if h.Code == detach.HazardCI {
					text = h.Text
				}
			}
			if c.ci == "" {
				require.Empty(t, text)
			} else {
				require.Contains(t, text, "in its environment is "+c.ci+", by which a CI runner")
			}
		})
	}
}

// A thread of the kernel is no process that could be detached.
func TestVerifyOfTheKernel(t *testing.T) {
	if !lab.Contains("/proc/2/comm", "kthreadd") {
		t.Skip("its threads are not to be seen here") // as in every container
	}
	cmd := exec.Command(lab.Bin(t, "detach"), "verify", "2")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, verifyUnknown, cmd.ProcessState.ExitCode())
	require.Equal(t, "detach: verify 2: is a thread of the kernel\n", string(out))
}

// PID 1 of the machine has no manager, and its session may be the kernel's.
func TestVerifyOfPID1(t *testing.T) {
	if namespace, err := os.Readlink("/proc/self/ns/pid"); err != nil || namespace != "pid:[4026531836]" {
		t.Skip("PID 1 is that of a container here")
	}
	v, _ := verdict(t, nil, "1")
	failed, _ := failedChecks(v)
	for _, name := range []string{"session", "leader", "parent"} {
		require.NotContains(t, failed, name)
	}
	require.True(t, strings.HasPrefix(v.Diagnosis, "it is PID 1 of the machine: "), v.Diagnosis)
}

// nextTick waits in a shell until what is started next is younger than what was
// started before, by the clock that tells the start of processes.
const nextTick = `read before rest </proc/uptime; while read now rest </proc/uptime && [ $now = $before ]; do :; done`

// The process group is shared with two.
func TestVerifyInAGroupOfThree(t *testing.T) {
	first, second := lab.Mark(), lab.Mark()
	lab.KillMarked(t, first)
	lab.KillMarked(t, second)
	cmd := subject(t, "sh", "-c", `sleep "${1#=}" & `+nextTick+`; sleep "${2#=}" & read x`, "sh", "="+first, "="+second)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pid := manage(t, cmd, second)
	v, _ := verdict(t, nil, strconv.Itoa(pid))
	require.Regexp(t, fmt.Sprintf(`by a signal to the process group %d, in which PID %[1]d \(sh\) and PID \d+ \(sleep\) are, by `, cmd.Process.Pid), v.Diagnosis)
}
