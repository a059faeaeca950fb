//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sessionUser is whose login session is opened: somebody who is on every
// machine and has no processes there. Those of root and nobody are never
// killed, whatever logind is told.
const sessionUser = "daemon"

// lacksSession says why no session can be opened here that kills what is in it
// when it is closed.
func lacksSession() string {
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
	settings := map[string]string{"KillUserProcesses": "", "KillExcludeUsers": "", "KillOnlyUsers": ""}
	for name := range settings {
		value, err := runSystemctl(context.Background(), "busctl", "get-property",
			"org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", name)
		if err != nil {
			return fmt.Sprintf("logind cannot be talked to: %v", err)
		}
		settings[name] = value
	}
	user := `"` + sessionUser + `"`
	switch only := settings["KillOnlyUsers"]; {
	case settings["KillUserProcesses"] != "b true":
		return "logind has KillUserProcesses=no"
	case strings.Contains(settings["KillExcludeUsers"], user):
		return "logind spares " + sessionUser + " by KillExcludeUsers"
	case only != "as 0" && !strings.Contains(only, user):
		return "logind spares " + sessionUser + " by KillOnlyUsers"
	}
	if _, err := ownCgroup(); err != nil {
		return err.Error()
	}
	return ""
}

// openSession opens a login session and sees to it that the manager will be in
// it, as a program that its user has started there by sudo.
//
// su opens the session, through PAM and logind, as login and sshd do. The
// session's program ends when its user closes its standard input, and su
// closes the session.
func (s *stage) openSession() error {
	su := exec.Command("su", "--shell", "/bin/sh", "--command", "cat /proc/self/cgroup; echo; exec cat >/dev/null", sessionUser)
	su.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}
	var said strings.Builder
	su.Stderr = &said
	in, err := su.StdinPipe()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	su.Stdout = w
	err = su.Start()
	_ = w.Close()
	if err != nil {
		return err
	}
	s.keyboard = in
	s.later(func() error {
		_ = in.Close() // perhaps already
		patience := time.AfterFunc(killTimeout, func() { _ = su.Process.Kill() })
		defer patience.Stop()
		_ = su.Wait() // of no interest how it ended
		return nil
	})
	if err := r.SetReadDeadline(time.Now().Add(hostTimeout)); err != nil {
		return err
	}
	lines, err := readParagraph(r)
	if err != nil {
		return &notStaged{fmt.Sprintf("su does not open a session for %s: %v: %s", sessionUser, err, strings.TrimSpace(said.String()))}
	}
	folder, _ := unifiedCgroup(lines)
	unit := path.Base(folder)
	if !strings.HasPrefix(unit, "session-") || !strings.HasSuffix(unit, ".scope") {
		return &notStaged{"su does not open a session of logind's: pam_systemd is not in its PAM configuration, or cgroups are not v2"}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	root, _ := mountPoint(string(mounts), "cgroup2")
	s.prelude = append(s.prelude, stepCgroup+filepath.Join(root, folder))
	s.unit = unit
	return nil
}

// closeSession logs out, and waits until logind and systemd have done what they
// do about it.
func (s *stage) closeSession(ctx context.Context) error {
	if err := s.keyboard.Close(); err != nil {
		return err
	}
	// What is in the scope has ninety seconds to end by SIGTERM and SIGHUP,
	// and is killed then.
	return awaitUnit(ctx, s.unit)
}

// readParagraph reads lines up to an empty one.
func readParagraph(r io.Reader) (string, error) {
	var lines strings.Builder
	for reader := bufio.NewReader(r); ; {
		line, err := reader.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == "\n" {
			return lines.String(), nil
		}
		lines.WriteString(line)
	}
}
