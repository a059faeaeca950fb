package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// launcher is a command that leaves IDLE running and returns.
type launcher struct {
	name    string
	argv    []string
	waits   bool // it returns when the program has been exec'd, not before
	nothing bool // it starts nothing
}

const pythonDaemon = `import os, sys, daemon
daemon.DaemonContext().open()
os.execv(sys.argv[1], sys.argv[1:])`

// allLaunchers returns those there are in the world, each in its cheapest form.
// The first one is the base of the ratios.
func (b *bench) allLaunchers() []launcher {
	// It need not exist; without one start-stop-daemon searches all of /proc.
	noPIDFile := filepath.Join(b.dir, "none.pid")
	return []launcher{
		{name: "empty Go program", argv: []string{b.empty}, nothing: true},
		{name: "detach --version", argv: []string{b.detach, "--version"}, nothing: true},
		{name: "detach", argv: []string{b.detach, "--", b.idle}, waits: true},
		{name: "detach --via fork", argv: []string{b.detach, "--via", "fork", "--", b.idle}, waits: true},
		{name: "detach --via systemd", argv: []string{b.detach, "--via", "systemd", "--", b.idle}, waits: true},
		{name: "detach, PID file", argv: []string{b.detach, "-o", filepath.Join(b.dir, "log"), "-p", filepath.Join(b.dir, "pid"), "--", b.idle}, waits: true},
		{name: "setsid -f", argv: []string{"setsid", "-f", b.idle}},
		{name: "nohup &", argv: []string{"sh", "-c", `nohup "$0" >/dev/null 2>&1 &`, b.idle}},
		{name: "daemonize", argv: []string{"daemonize", b.idle}},
		{name: "daemon", argv: []string{"daemon", "--unsafe", "--", b.idle}},
		{name: "start-stop-daemon", argv: []string{"start-stop-daemon", "--start", "--background", "--pidfile", noPIDFile, "--startas", b.idle}},
		{name: "systemd-run", argv: []string{"systemd-run", "--quiet", "--collect", "--property=Type=exec", b.idle}, waits: true},
		{name: "python-daemon", argv: []string{"/usr/bin/python3", "-c", pythonDaemon, b.idle}},
	}
}

// usableLaunchers tries each launcher once and says why others are left out.
func (b *bench) usableLaunchers() (usable []launcher, without []string) {
	for _, l := range b.allLaunchers() {
		if err := b.try(&l); err != nil {
			without = append(without, l.name+": "+err.Error())
			continue
		}
		usable = append(usable, l)
	}
	return usable, without
}

// try finds the program of a launcher and runs it. An error is the last line
// of what it said.
func (b *bench) try(l *launcher) error {
	path, err := exec.LookPath(l.argv[0])
	if err != nil {
		return err
	}
	l.argv[0] = path
	messages, err := os.Create(filepath.Join(b.dir, "messages"))
	if err != nil {
		return err
	}
	defer messages.Close()
	if _, err = b.launch(*l, messages); err == nil {
		return nil
	}
	said, _ := os.ReadFile(messages.Name())
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return errors.New(last)
	}
	return err
}
