//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A knownLauncher is one that people use, in the form that gives it its best
// chance: where it has a way of keeping clear of the manager's pipes, that is
// used.
type knownLauncher struct {
	name    string
	command string // as in NAME=COMMAND
	usable  bool   // here
}

// pythonDaemon has the interpreter become the daemon and then the program.
const pythonDaemon = `import os, sys, daemon; daemon.DaemonContext().open(); os.execv(sys.argv[1], sys.argv[1:])`

// startNewSession is what Python's documentation is read to promise.
const startNewSession = `import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)`

// knownLaunchers are in the order of the report, the simplest first.
func knownLaunchers() []knownLauncher {
	python, detach := pythonWithDaemon(), ownDetach()
	systemdRun := "systemd-run"
	if os.Geteuid() != 0 {
		systemdRun += " --user"
	}
	return []knownLauncher{
		{"child", "env", inPath("env")},
		{"sh &", "shell:{} &", inPath("sh")},
		// disown fails if the job has ended by then.
		{"disown", "shell:exec bash -c '{} & disown || true'", inPath("bash")},
		{"nohup &", "shell:nohup {} >/dev/null 2>&1 &", inPath("nohup")},
		{"start_new_session", "shell:exec python3 -c " + quote(startNewSession) + " {}", inPath("python3")},
		{"setsid", "shell:exec setsid {} >/dev/null 2>&1", inPath("setsid")},
		{"setsid -f", "shell:exec setsid -f {} >/dev/null 2>&1", inPath("setsid")},
		{"s6-setsid", "shell:exec s6-setsid {} >/dev/null 2>&1", inPath("s6-setsid")},
		// By itself execline's double fork stays in the session.
		{"background -d", "shell:exec execlineb -Pc 'background -d { s6-setsid {} } true' >/dev/null 2>&1", inPath("execlineb", "s6-setsid")},
		{"dtach -n", "shell:exec dtach -n {}.socket {}", inPath("dtach")},
		{"daemonize", "daemonize", inPath("daemonize")},
		// As root it does not start what lies in a folder that others may write to.
		{"daemon", "daemon --unsafe --", isLibslackDaemon()},
		// The PID file need not exist; without one it searches all of /proc.
		{"start-stop-daemon -b", "start-stop-daemon --start --background --pidfile /nonexistent/pid --startas", inPath("start-stop-daemon")},
		{"python-daemon", "shell:exec " + quote(python) + " -c " + quote(pythonDaemon) + " {}", python != ""},
		{"systemd-run", systemdRun + " --quiet --collect --property=Type=exec", lacksSystemd() == ""},
		{"detach", "shell:exec " + quote(detach) + " -- {}", detach != ""},
	}
}

// findKnownLaunchers returns those that work here, and the names of the others.
func findKnownLaunchers() (found []launcher, missing []string, err error) {
	for _, k := range knownLaunchers() {
		if !k.usable {
			missing = append(missing, k.name)
			continue
		}
		l, err := parseLauncher(k.name + "=" + k.command)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, l)
	}
	return found, missing, nil
}

// inPath tells whether all of the programs are.
func inPath(programs ...string) bool {
	return !slices.ContainsFunc(programs, func(program string) bool {
		_, err := exec.LookPath(program)
		return err != nil
	})
}

// pythonWithDaemon returns the Python that has the module daemon, empty if none
// has. That of the distribution has its packages, but need not be the first in
// PATH.
func pythonWithDaemon() string {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import daemon; daemon.DaemonContext").Run() == nil {
			return python
		}
	}
	return ""
}

// isLibslackDaemon tells it from other programs of that name.
func isLibslackDaemon() bool {
	out, err := exec.Command("daemon", "--help").CombinedOutput()
	return err == nil && strings.Contains(string(out), "--unsafe")
}

// ownDetach returns the detach that lies beside this detachtest, or else the
// one in PATH, empty if there is none.
func ownDetach() string {
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), "detach")); err == nil {
			return path
		}
	}
	path, _ := exec.LookPath("detach") // the error is that there is none
	return path
}
