//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// The scripts run the built detach. Beside the commands of testscript they have:
//
//	start ARG...          run detach with these arguments, which is to succeed
//	                      and to print the PID or a JSON object; set $PID
//	pid FILE              set $PID from a PID file
//	status N COMMAND...   run a command, which is to exit with status N and to
//	                      print nothing on standard output
//	exits N COMMAND...    run a command, which is to exit with status N
//	await FILE PATTERN    wait until the file matches the regular expression
//	runs                  check that the process $PID runs
//	end                   end the process $PID
//
// A script ends its daemons, and has to know all of them.
func TestScripts(t *testing.T) {
	bin := filepath.Dir(lab.Bin(t, "detach"))
	command := func(run func(s script, args []string)) func(*testscript.TestScript, bool, []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("it cannot be negated")
			}
			run(script{t, ts}, args)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			env.Defer(func() { requireNoneLeft(t, env.WorkDir) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":  command(script.start),
			"pid":    command(script.pid),
			"status": command(script.status),
			"exits":  command(script.exits),
			"await":  command(script.await),
			"runs":   command(script.runs),
			"end":    command(script.end),
		},
	})
}

// script is a running script, and the test whose daemons end with it.
type script struct {
	testing.TB
	ts *testscript.TestScript
}

func (s script) Cleanup(f func())                  { s.ts.Defer(f) }
func (s script) Fatal(args ...any)                 { s.ts.Fatalf("%s", fmt.Sprint(args...)) }
func (s script) Fatalf(format string, args ...any) { s.ts.Fatalf(format, args...) }

var printed = regexp.MustCompile(`^(?:([0-9]+)\n|\{.*"pid":([0-9]+),.*\}\n)$`)

func (s script) start(args []string) {
	err := s.ts.Exec("detach", args...)
	match := printed.FindStringSubmatch(s.ts.ReadFile("stdout"))
	if match != nil {
		s.hold(match[1] + match[2])
	}
	s.ts.Check(err)
	if match == nil {
		s.Fatalf("standard output is neither a PID nor a JSON object with one")
	}
}

func (s script) pid(args []string) {
	s.hold(strings.TrimSuffix(s.ts.ReadFile(args[0]), "\n"))
}

func (s script) hold(number string) *lab.Held {
	pid, err := strconv.Atoi(number)
	s.ts.Check(err)
	s.ts.Setenv("PID", number)
	return lab.Hold(s, pid)
}

func (s script) status(args []string) {
	s.exits(args)
	if s.ts.ReadFile("stdout") != "" {
		s.Fatalf("something on standard output")
	}
}

func (s script) exits(args []string) {
	want, err := strconv.Atoi(args[0])
	s.ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := s.ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		s.ts.Check(err)
	}
	if got != want {
		s.Fatalf("exit status %d, want %d", got, want)
	}
}

func (s script) await(args []string) {
	pattern, err := regexp.Compile(args[1])
	s.ts.Check(err)
	path := s.ts.MkAbs(args[0])
	lab.Until(s, args[1]+" in "+args[0], func() bool {
		data, _ := os.ReadFile(path)
		return pattern.Match(data)
	})
}

func (s script) runs([]string) {
	pid, err := strconv.Atoi(s.ts.Getenv("PID"))
	s.ts.Check(err)
	if !lab.Alive(pid) {
		s.Fatalf("process %d has ended", pid)
	}
}

func (s script) end([]string) {
	daemon := s.hold(s.ts.Getenv("PID"))
	s.ts.Check(daemon.Signal(unix.SIGKILL))
	daemon.AwaitEnd(s)
}

// requireNoneLeft looks for processes that a script has not ended. Each script
// has $WORK for itself, and its processes have inherited it.
func requireNoneLeft(t *testing.T, work string) {
	mark := []byte("WORK=" + work + "\x00")
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		environ, _ := os.ReadFile(path)
		if !bytes.Contains(environ, mark) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil {
			t.Errorf("process %d is left of a script", pid)
			lab.Hold(t, pid)
		}
	}
}
