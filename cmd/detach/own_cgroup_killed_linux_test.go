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

	found, pending, empty int // of the starts: running, with no PID on record, only a cgroup
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
	pids := s.running()
	if data, err := os.ReadFile(filepath.Join(s.dir, "x.pid")); err != nil || !slices.Equal(pids, strings.Fields(string(data))) {
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
// the making of the cgroup on. Which they are a start tells that is let be.
func (s *cgroupStarts) atEachCall() error {
	trace := filepath.Join(filepath.Dir(s.dir), "trace")
	// The daemon is let go when it executes its program: strace would wait for it.
	strace := []string{"strace", "-f", "-b", "execve", "-qq", "-o", trace}
	if out, err := s.start(strace...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		return err
	}
	var made bool
	numbers := map[string]int{} // of a thread and a call
	var moments []string
	for line := range strings.Lines(string(data)) {
		call := tracedCall.FindStringSubmatch(line)
		if call == nil {
			continue
		}
		made = made || call[2] == "mkdirat" && strings.Contains(line, "/detach-")
		numbers[call[0]]++
		moment := fmt.Sprintf("%s:signal=KILL:when=%d", call[2], numbers[call[0]])
		switch call[2] {
		case "nanosleep", "futex", "epoll_pwait", "rt_sigreturn", "tgkill": // the Go runtime's, any time
		case "rt_sigaction": // one of 62
			if made && numbers[call[0]] == 2 {
				moments = append(moments, moment)
			}
		default:
			if made && !slices.Contains(moments, moment) {
				moments = append(moments, moment)
			}
		}
	}
	if err := s.look(); err != nil {
		return err
	}
	s.found = 0
	for _, moment := range moments {
		_ = s.start("strace", "-f", "-b", "execve", "-qq", "-o", "/dev/null", "-e", "inject="+moment).Run()
		if err := s.look(); err != nil {
			return fmt.Errorf("%s: %w", moment, err)
		}
	}
	return nil
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
	if args[1] == "call" {
		err = s.atEachCall()
	} else {
		err = s.atRandom(150)
	}
	fmt.Println(s.found, s.pending, s.empty)
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
