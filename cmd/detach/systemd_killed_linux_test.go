package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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

// killedStarts kills detach at random moments while it starts a daemon by
// systemd. Then another start, a double fork, either refuses because of the
// daemon, or is the only one; stop ends what there is.
var _ = lab.Helper("killed-starts", func(args []string) error {
	bin, flags, mark := args[0], args[2:], lab.Mark()
	program := "sleep"
	if len(flags) > 0 { // one of which systemd is told by a drop-in
		folder, err := os.MkdirTemp("/run", "odd")
		if err != nil {
			return err
		}
		program = filepath.Join(folder, "sl;eep")
		if err := os.Symlink("/bin/sleep", program); err != nil {
			return err
		}
	}
	command := append(append([]string{"--via", "systemd"}, flags...), "-p", "x.pid", "--", program, mark)
	starts, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	detach := func(dir string, args ...string) *exec.Cmd {
		cmd := exec.Command(bin, args...)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return cmd
	}
	dir, err := os.MkdirTemp("/run", "killed")
	if err != nil {
		return err
	}
	// How long a start takes here and now: the moments are chosen within.
	begin := time.Now()
	if out, err := detach(dir, command...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	span := time.Since(begin) * 3 / 2
	if err := detach(dir, "stop", "-q", "x.pid").Run(); err != nil {
		return err
	}
	var found, pending int
	for range starts {
		cmd := detach(dir, command...)
		if err := cmd.Start(); err != nil {
			return err
		}
		time.Sleep(rand.N(span)) // the moment is the point of this test
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
		_, noPIDFile := os.Stat(filepath.Join(dir, "x.pid"))
		if _, err := os.Stat(filepath.Join(dir, "x.pid.json")); err == nil && noPIDFile != nil {
			pending++
		}
		out, err := detach(dir, "--via", "fork", "-p", "x.pid", "--", "sleep", mark).CombinedOutput()
		var exit *exec.ExitError
		switch {
		case err == nil:
		case errors.As(err, &exit) && strings.Contains(string(out), "already running as PID "):
			found++
			named, err := os.ReadFile(filepath.Join(dir, "x.pid"))
			pids, pgrepErr := exec.Command("pgrep", "-fx", `\S*sl;?eep `+mark).Output()
			if err != nil || pgrepErr != nil || string(named) != string(pids) {
				return fmt.Errorf("the PID file names %q, and it is %q: %w", named, pids, errors.Join(err, pgrepErr))
			}
		default:
			return fmt.Errorf("the next start: %w: %s", err, out)
		}
		if pids, err := exec.Command("pgrep", "-fx", `\S*sl;?eep `+mark).Output(); err != nil || len(strings.Fields(string(pids))) != 1 {
			return fmt.Errorf("it runs as %q, %s", pids, out)
		}
		if out, err := detach(dir, "stop", "x.pid").CombinedOutput(); err != nil {
			return fmt.Errorf("stop: %w: %s", err, out)
		}
		if pids, err := exec.Command("pgrep", "-fx", `\S*sl;?eep `+mark).Output(); err == nil {
			return fmt.Errorf("stop has left %q", pids)
		}
	}
	entries, err := os.ReadDir(dir)
	// A start that was killed leaves what it had prepared to the next one.
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), ".detach-new") })
	if err != nil || len(entries) > 0 {
		return fmt.Errorf("left: %v, %w", entries, err)
	}
	units, err := exec.Command("systemctl", "list-units", "--all", "--plain", "--no-legend", "detach-*").Output()
	if err != nil || len(units) > 0 {
		return fmt.Errorf("left: %s, %w", units, err)
	}
	if dropIns, err := filepath.Glob("/run/systemd/system/detach-*"); err != nil || len(dropIns) > 0 {
		return fmt.Errorf("left: %q, %w", dropIns, err)
	}
	fmt.Printf("%d found, %d pending\n", found, pending)
	return nil
})

// SIGKILL at any moment of a start by systemd leaves no daemon that the next
// start or a stop does not find, and nothing else.
func TestSystemdKilledAtAnyMoment(t *testing.T) {
	for name, c := range map[string]struct {
		starts int
		flags  []string
	}{
		"once":    {200, nil},
		"restart": {50, []string{"--restart", "always"}},
	} {
		t.Run(name, func(t *testing.T) {
			helper := lab.HelperCommand(t, "killed-starts", append([]string{lab.Bin(t, "detach"), strconv.Itoa(c.starts)}, c.flags...)...)
			cmd := lab.Systemd(t, helper.Args...)
			cmd.Env, cmd.Dir = helper.Env, "/"
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			t.Logf("%s", out)
			var found, pending int
			_, err = fmt.Sscanf(string(out), "%d found, %d pending", &found, &pending)
			require.NoError(t, err, "%s", out)
			require.NotZero(t, found, "every one was killed too early to tell")
			require.NotEqual(t, c.starts, found, "every one was killed too late to tell")
			require.NotZero(t, pending, "none was killed while systemd was at it")
		})
	}
}
