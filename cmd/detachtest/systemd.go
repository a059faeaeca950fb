//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// stopTimeout is TimeoutStopSec of the manager's service: how long what is in
// it may take to end by SIGTERM. systemd's own default is a minute and a half,
// which nobody wants to wait for.
const stopTimeout = 3 * time.Second

// systemctl returns a command to the systemd that detachtest can have services
// of: root's is the system's, the user's else.
func systemctl(ctx context.Context, program string, args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{"--user"}, args...)
	}
	return exec.CommandContext(ctx, program, args...)
}

// runSystemctl runs such a command, and has what it says in the error.
func runSystemctl(ctx context.Context, program string, args ...string) (stdout string, err error) {
	cmd := systemctl(ctx, program, args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, args[0], err, strings.ReplaceAll(strings.TrimSpace(said.String()), "\n", " | "))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

// lacksSystemd says why there is no systemd here to have a service of.
func lacksSystemd() string {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return "PID 1 is not systemd"
	}
	for _, program := range []string{"systemctl", "systemd-run"} {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is not installed"
		}
	}
	if _, err := runSystemctl(context.Background(), "systemctl", "show", "-P", "Version"); err != nil {
		return fmt.Sprintf("systemd cannot be talked to: %v", err)
	}
	return ""
}

// startService starts the manager as a transient service.
func (s *stage) startService(cmd *exec.Cmd) error {
	command, err := s.invite(cmd)
	if err != nil {
		return err
	}
	s.unit = fmt.Sprintf("%s-%s.service", runName, newCookie())
	args := []string{
		"--quiet", "--collect", "--unit=" + s.unit, "--service-type=exec",
		"--property=TimeoutStopSec=" + fmt.Sprint(stopTimeout.Seconds()),
		// Should detachtest be killed: there is no parent-death signal here.
		"--property=RuntimeMaxSec=" + fmt.Sprint(probeLife.Seconds()),
		"--",
	}
	for _, word := range command {
		args = append(args, strings.ReplaceAll(word, "$", "$$"))
	}
	s.later(func() error { return removeService(s.unit) })
	if _, err := runSystemctl(context.Background(), "systemd-run", args...); err != nil {
		return err
	}
	return s.admit(hostTimeout)
}

// removeService kills what is left of a service.
func removeService(unit string) error {
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	// What has gone by itself is unknown to systemd, an error of no interest.
	_, _ = runSystemctl(ctx, "systemctl", "kill", "--signal=SIGKILL", unit)
	_, _ = runSystemctl(ctx, "systemctl", "stop", unit)
	_, _ = runSystemctl(ctx, "systemctl", "reset-failed", unit)
	state, err := runSystemctl(ctx, "systemctl", "show", "-P", "ActiveState", unit)
	if err == nil && state != "inactive" {
		err = fmt.Errorf("remove %s: it is %s", unit, state)
	}
	return err
}

// awaitUnit waits until a unit is not active any more, nor about to end.
func awaitUnit(ctx context.Context, unit string) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		state, err := runSystemctl(ctx, "systemctl", "show", "-P", "ActiveState", unit)
		if err != nil || state == "inactive" || state == "failed" {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
