//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// logout runs the manager as the program of a login session, which su opens
// through PAM and logind as login and sshd do. At the end of the program su
// closes the session, and logind stops the session's scope.
var logout = death{
	name:  "logout",
	who:   "Somebody who logs out where logind has KillUserProcesses=yes: the session is closed, and whatever is left in its cgroup is stopped.",
	lacks: lacksLogout,
	start: (*stage).startSession,
	deal: func(ctx context.Context, s *stage) error {
		if err := s.manager.signal(unix.SIGKILL); err != nil {
			return err
		}
		// What is in the scope has ninety seconds to end by SIGTERM. Whether
		// it used them or not, nothing survives the scope.
		return awaitUnit(ctx, s.unit)
	},
}

// lacksLogout says why no session can be opened here that kills what is in it
// when it is closed.
func lacksLogout() string {
	if os.Geteuid() != 0 {
		return "only root can open a login session without a password"
	}
	if reason := lacksSystemd(); reason != "" {
		return reason
	}
	for _, program := range []string{"busctl", "su"} {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is not installed"
		}
	}
	setting := func(name string) (string, error) {
		return runSystemctl(context.Background(), "busctl", "get-property",
			"org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", name)
	}
	kills, err := setting("KillUserProcesses")
	if err != nil {
		return fmt.Sprintf("logind cannot be talked to: %v", err)
	}
	if kills != "b true" {
		return "logind has KillUserProcesses=no"
	}
	spared, err := setting("KillExcludeUsers")
	if err != nil {
		return fmt.Sprintf("logind cannot be talked to: %v", err)
	}
	if strings.Contains(spared, `"root"`) {
		return "logind has root in KillExcludeUsers"
	}
	return ""
}

// startSession starts the manager in a login session of its own.
func (s *stage) startSession(cmd *exec.Cmd) error {
	command, err := s.invite(cmd)
	if err != nil {
		return err
	}
	var line strings.Builder
	line.WriteString("exec")
	for _, word := range command {
		line.WriteString(" " + quote(word))
	}
	su := exec.Command("su", "--shell", "/bin/sh", "--command", line.String(), "root")
	su.Env = cmd.Environ()
	if err := s.start(su); err != nil {
		return err
	}
	s.manager = nil // not su
	if err := s.admit(orderTimeout); err != nil {
		return err
	}
	lines, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", s.manager.pid))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(lines)) {
		if unit := path.Base(strings.TrimSpace(line)); strings.HasPrefix(unit, "session-") && strings.HasSuffix(unit, ".scope") {
			s.unit = unit
			return nil
		}
	}
	return &notStaged{"su does not open a session of logind's: pam_systemd is not in its PAM configuration"}
}
