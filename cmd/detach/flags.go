package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/detachkit/detach/detach"
)

// options is what the command line says.
type options struct {
	cmd                        detach.Cmd
	unit                       detach.UnitEnv
	json, quiet, help, version bool
}

// parse parses what is behind the words with which the user calls it.
func parse(call string, args []string) (*options, error) {
	o := &options{}
	var outliveCI bool
	flags := newFlags(call)
	flags.text(&o.cmd.Dir, "C", "chdir")
	flags.text(&o.cmd.Stdout, "o", "stdout")
	flags.text(&o.cmd.Stderr, "e", "stderr")
	flags.text(&o.cmd.Stdin, "i", "stdin")
	flags.text(&o.cmd.Console, "", "console")
	flags.text(&o.cmd.PIDFile, "p", "pidfile")
	flags.value(func(s string) error { return parseUmask(s, &o.cmd.Umask) }, "", "umask")
	flags.value(func(s string) error { return parseVariable(s, &o.unit.Set) }, "E", "env")
	flags.value(func(s string) error { return parseName(s, &o.unit.Unset) }, "", "unset")
	flags.toggle(&o.unit.Clean, "", "clean-env")
	flags.toggle(&outliveCI, "", "outlive-ci")
	flags.value(func(s string) (err error) {
		o.cmd.Via, err = parseVia(s)
		return err
	}, "", "via")
	flags.text(&o.cmd.Cgroup, "", "cgroup")
	flags.text(&o.cmd.User, "", "user")
	limitFlags(flags, &o.cmd.Limits)
	flags.toggle(&o.cmd.Strict, "", "strict")
	flags.value(func(s string) error { return parseRestart(s, &o.cmd.Restart) }, "", "restart")
	flags.value(func(s string) (err error) {
		o.cmd.Watchdog, err = parseDuration(s)
		return err
	}, "", "watchdog")
	flags.text(&o.cmd.StopConsole, "", "stop-console")
	flags.value(func(s string) error {
		c, err := parseCondition(s)
		o.cmd.Ready.When = append(o.cmd.Ready.When, c)
		return err
	}, "", "ready")
	flags.value(func(s string) error {
		re, err := parseFailure(s)
		o.cmd.Ready.Fail = append(o.cmd.Ready.Fail, re)
		return err
	}, "", "fail")
	flags.value(func(s string) (err error) {
		if o.cmd.Ready.Timeout, err = parseDuration(s); err == nil && o.cmd.Ready.Timeout == 0 {
			err = errors.New("is no time at all")
		}
		return err
	}, "", "timeout")
	flags.toggle(&o.cmd.Ready.Keep, "", "keep")
	flags.toggle(&o.json, "", "json")
	flags.toggle(&o.quiet, "q", "quiet")
	flags.toggle(&o.version, "V", "version")
	flags.toggle(&o.help, "h", "help")

	if err := flags.parse(args); err != nil {
		return nil, err
	}
	if o.help || o.version {
		return o, nil
	}
	command := flags.Args()
	if len(command) == 0 {
		return nil, &usageError{"no command", call + " [flags] -- COMMAND [ARG...]"}
	}
	if at := len(args) - len(command); at == 0 || args[at-1] != "--" {
		return nil, &usageError{
			fmt.Sprintf("%q is not a verb of %s", command[0], call),
			"to start it, put -- before it: " + call + " " + quote(slices.Concat(args[:at], []string{"--"}, command)...),
		}
	}
	if r := o.cmd.Ready; len(r.When) == 0 && (len(r.Fail) > 0 || r.Timeout > 0 || r.Keep) {
		hint := "such as --ready alive=2s"
		if call == unitCall {
			hint = "in a unit that is --ready notify, with --timeout; systemd knows no --fail and --keep"
		}
		return nil, &usageError{"--fail, --timeout and --keep go with --ready", hint}
	}
	o.cmd.Path, o.cmd.Args = command[0], command
	o.cmd.Env = environment(o.unit.Clean, o.unit.Unset, o.unit.Set, outliveCI)
	o.cmd.Manager = manager()
	return o, nil
}

// manager is the parent of detach, which the daemon is to outlive. PID 1 of the
// machine is none: it outlives everything, and a parent that has ended leaves
// its children to it. PID 1 of a container is one, unless that is a systemd.
func manager() int {
	const initial = "pid:[4026531836]" // PROC_PID_INIT_INO, linux/proc_ns.h
	parent := os.Getppid()
	if parent > 1 {
		return parent
	}
	if exists("/run/systemd/system") { // sd_booted(3)
		return 0
	}
	if namespace, err := os.Readlink("/proc/self/ns/pid"); parent == 1 && err == nil && namespace != initial {
		return parent
	}
	return 0
}

func parseUmask(s string, to **int) error {
	mask, err := strconv.ParseUint(s, 8, 32)
	if err != nil || mask > 0o777 {
		return errors.New("is not an octal number from 0 to 777")
	}
	*to = new(int(mask))
	return nil
}

func parseVariable(s string, to *[]string) error {
	if name, _, ok := strings.Cut(s, "="); !ok || name == "" {
		return errors.New("is not NAME=VALUE")
	}
	*to = append(*to, s)
	return nil
}

func parseName(s string, to *[]string) error {
	if s == "" || s == "--" || strings.Contains(s, "=") {
		return errors.New("is not the name of a variable")
	}
	*to = append(*to, s)
	return nil
}

// environment is the caller's, or none, without what is unset, with what is
// set; the later of two settings counts.
func environment(clean bool, unset, set []string, outliveCI bool) []string {
	env := []string{}
	if !clean {
		env = detach.Environ()
	}
	if outliveCI {
		env = detach.WithoutCookies(env)
	}
	remove := func(name string) {
		env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	}
	for _, name := range unset {
		remove(name)
	}
	for _, entry := range set {
		name, _, _ := strings.Cut(entry, "=")
		remove(name)
		env = append(env, entry)
	}
	return env
}
