package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// cgroupStarts starts a daemon in a cgroup of its own, again and again with the
// same PID file, and each time is killed in between.
type cgroupStarts struct {
	bin, dir, mark string

	found, pending, empty int      // of the starts: running, with no PID on record, only a cgroup
	failed                []string // the calls without which a start fails
}

func (s *cgroupStarts) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func (s *cgroupStarts) start(prefix ...string) *exec.Cmd {
	return s.command(append(prefix, s.bin, "--via", "cgroup", "-p", "x.pid", "--", "sleep", s.mark)...)
}

// cgroups are those that there are, in all hierarchies.
func (s *cgroupStarts) cgroups() string {
	found, _ := exec.Command("find", "/sys/fs/cgroup", "-name", "detach-*").Output()
	return string(found)
}

func (s *cgroupStarts) running() []string {
	pids, _ := exec.Command("pgrep", "-fx", "sleep "+s.mark).Output()
	return strings.Fields(string(pids))
}

// look is for after a start was killed. Another one either refuses because of the
// daemon, or is the only one; then stop ends what there is, with its cgroup.
func (s *cgroupStarts) look() error {
	left := s.cgroups()
	out, err := s.start().CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		if left != "" {
			s.empty++
		}
	case errors.As(err, &exit) && strings.Contains(string(out), "already running as PID "):
		s.found++
	default:
		return fmt.Errorf("the next start: %w: %s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "x.pid"))
	pids := s.running()
	// One whose start was killed may be about to execute the program.
	for pid, _ := strconv.Atoi(strings.TrimSpace(string(data))); len(pids) == 0 && lab.Alive(pid); {
		pids = s.running()
	}
	if err != nil || !slices.Equal(pids, strings.Fields(string(data))) {
		return fmt.Errorf("it runs as %q, the PID file says %q: %s, %w", pids, data, out, err)
	}
	if lab.Contains(filepath.Join(s.dir, "x.pid.json"), `"pid": 0,`) {
		s.pending++
	}
	if out, err := s.command(s.bin, "stop", "x.pid").CombinedOutput(); err != nil {
		return fmt.Errorf("stop: %w: %s", err, out)
	}
	if pids, left := s.running(), s.cgroups(); len(pids) > 0 || left != "" {
		return fmt.Errorf("stop has left %q, %s", pids, left)
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) > 0 {
		return fmt.Errorf("left: %v, %w", entries, err)
	}
	return nil
}

// atRandom kills the whole process group at a random moment.
func (s *cgroupStarts) atRandom(starts int) error {
	// How long a start takes here and now: the moments are chosen within.
	begin := time.Now()
	if out, err := s.start().CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	span := time.Since(begin) * 3 / 2
	if err := s.look(); err != nil {
		return err
	}
	s.found = 0
	for range starts {
		cmd := s.start()
		if err := cmd.Start(); err != nil {
			return err
		}
		time.Sleep(rand.N(span)) // the moment is the point of this test
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
		if err := s.look(); err != nil {
			return err
		}
	}
	return nil
}

var tracedCall = regexp.MustCompile(`^(\d+) +(\w+)\(`)

// atEachCall kills whoever makes it, caller or clone, at each system call from
// the making of the cgroup on.
func (s *cgroupStarts) atEachCall() error {
	moments, err := s.calls()
	if err != nil {
		return err
	}
	for _, moment := range moments {
		_ = s.start(injecting(moment, "signal=KILL")...).Run()
		if err := s.look(); err != nil {
			return fmt.Errorf("%v: %w", moment, err)
		}
	}
	return nil
}

// failEachCall has each of them fail. After that there is a daemon and nothing
// was said, or nothing is left.
func (s *cgroupStarts) failEachCall() error {
	moments, err := s.calls()
	if err != nil {
		return err
	}
	for _, moment := range moments {
		switch moment.call {
		case "rt_sigprocmask", "rt_sigaction", "exit_group", "setsid", "getpid", "mmap", "madvise": // the Go runtime dies of it, or it cannot fail
			continue
		}
		out, err := s.start(injecting(moment, "error=EIO")...).CombinedOutput()
		if err == nil {
			s.found++
			if out, err := s.command(s.bin, "stop", "x.pid").CombinedOutput(); err != nil {
				return fmt.Errorf("%v: stop: %w: %s", moment, err, out)
			}
		} else {
			s.failed = append(s.failed, moment.call)
		}
		entries, _ := os.ReadDir(s.dir)
		if pids, cgroups := s.running(), s.cgroups(); len(pids) > 0 || cgroups != "" || len(entries) > 0 {
			return fmt.Errorf("%v: left: %q, %s, %v: %s, %w", moment, pids, cgroups, entries, out, err)
		}
	}
	return nil
}

// moment is the n-th time that a thread makes a system call.
type moment struct {
	call string
	n    int
}

// injecting is what has something happen then. The daemon is let go when it
// executes its program: strace would wait for it.
func injecting(m moment, what string) []string {
	return []string{"strace", "-f", "-b", "execve", "-qq", "-o", "/dev/null", "-e", fmt.Sprintf("inject=%s:%s:when=%d", m.call, what, m.n)}
}

// calls are the system calls of a start from the making of the cgroup on.
func (s *cgroupStarts) calls() ([]moment, error) {
	trace := filepath.Join(filepath.Dir(s.dir), "trace")
	if out, err := s.start("strace", "-f", "-b", "execve", "-qq", "-o", trace).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		return nil, err
	}
	var made bool
	numbers := map[string]int{} // of a thread and a call
	var moments []moment
	for line := range strings.Lines(string(data)) {
		call := tracedCall.FindStringSubmatch(line)
		if call == nil {
			continue
		}
		made = made || call[2] == "mkdirat" && strings.Contains(line, "/detach-")
		numbers[call[0]]++
		m := moment{call[2], numbers[call[0]]}
		switch {
		case !made, slices.Contains(moments, m), m.call == "rt_sigaction" && m.n != 2: // one of 62
		case slices.Contains([]string{"nanosleep", "futex", "epoll_pwait", "rt_sigreturn", "tgkill"}, m.call): // the Go runtime's, any time
		default:
			moments = append(moments, m)
		}
	}
	err = s.look()
	s.found = 0
	return moments, err
}

var _ = lab.Helper("killed-cgroup-starts", func(args []string) error {
	parent, err := os.MkdirTemp("/run", "killed")
	if err != nil {
		return err
	}
	s := &cgroupStarts{bin: args[0], dir: filepath.Join(parent, "pids"), mark: lab.Mark()}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	switch args[1] {
	case "call":
		err = s.atEachCall()
	case "fail":
		err = s.failEachCall()
	default:
		err = s.atRandom(150)
	}
	fmt.Println(s.found, s.pending, s.empty, strings.Join(slices.Compact(s.failed), " "))
	return err
})

// SIGKILL at any moment of a start into a cgroup leaves no daemon that no PID
// file names, and no cgroup that the next start does not take.
func TestOwnCgroupKilledAtAnyMoment(t *testing.T) {
	lab.Program(t, "strace")
	for name, systemd := range bothLabs {
		for _, way := range []string{"random", "call"} {
			t.Run(name+"/"+way, func(t *testing.T) {
				helper := lab.HelperCommand(t, "killed-cgroup-starts", lab.Bin(t, "detach"), way)
				cmd := systemd(t, helper.Args...)
				cmd.Env, cmd.Dir = helper.Env, "/"
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				var found, pending, empty int
				_, err = fmt.Sscan(string(out), &found, &pending, &empty)
				require.NoError(t, err, "%s", out)
				t.Logf("%d had started, %d of them with no PID on record; %d left a cgroup", found, pending, empty)
				require.NotZero(t, found, "every one was killed too early to tell")
				if way == "call" {
					require.NotZero(t, pending)
					require.NotZero(t, empty)
				}
			})
		}
	}
}

// Whatever fails once the cgroup is made, it is gone after a start that failed.
func TestOwnCgroupFaults(t *testing.T) {
	lab.Program(t, "strace")
	for name, systemd := range bothLabs {
		t.Run(name, func(t *testing.T) {
			helper := lab.HelperCommand(t, "killed-cgroup-starts", lab.Bin(t, "detach"), "fail")
			cmd := systemd(t, helper.Args...)
			cmd.Env, cmd.Dir = helper.Env, "/"
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			t.Logf("%s", out)
			for _, call := range []string{"mkdirat", "write", "clone", "dup3", "renameat2"} {
				require.Contains(t, string(out), call)
			}
		})
	}
}
