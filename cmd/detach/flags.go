package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/detachkit/detach/detach"
)

// options is what the command line says.
type options struct {
	cmd                        detach.Cmd
	json, quiet, help, version bool
}

func parse(args []string) (*options, error) {
	o := &options{}
	var set, unset []string
	var clean bool
	flags := flag.NewFlagSet("detach", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // its errors are reported as all others are
	flags.Usage = func() {}
	both := func(define func(name string), short, long string) {
		if short != "" {
			define(short)
		}
		define(long)
	}
	text := func(to *string, short, long string) {
		both(func(name string) { flags.Var((*textValue)(to), name, "") }, short, long)
	}
	toggle := func(to *bool, short, long string) {
		both(func(name string) { flags.BoolVar(to, name, false, "") }, short, long)
	}
	text(&o.cmd.Dir, "C", "chdir")
	text(&o.cmd.Stdout, "o", "stdout")
	text(&o.cmd.Stderr, "e", "stderr")
	text(&o.cmd.Stdin, "i", "stdin")
	text(&o.cmd.Console, "", "console")
	text(&o.cmd.PIDFile, "p", "pidfile")
	flags.Func("umask", "", func(s string) error { return parseUmask(s, &o.cmd.Umask) })
	both(func(name string) { flags.Func(name, "", func(s string) error { return parseVariable(s, &set) }) }, "E", "env")
	flags.Func("unset", "", func(s string) error { return parseName(s, &unset) })
	toggle(&clean, "", "clean-env")
	toggle(&o.json, "", "json")
	toggle(&o.quiet, "q", "quiet")
	toggle(&o.version, "V", "version")
	toggle(&o.help, "h", "help")

	if err := flags.Parse(args); err != nil {
		return nil, &usageError{err.Error(), "detach --help lists the flags"}
	}
	if o.help || o.version {
		return o, nil
	}
	command := flags.Args()
	if len(command) == 0 {
		return nil, &usageError{"no command", "detach [flags] -- COMMAND [ARG...]"}
	}
	if at := len(args) - len(command); at == 0 || args[at-1] != "--" {
		return nil, &usageError{
			fmt.Sprintf("%q is not a verb of detach", command[0]),
			"to start it, put -- before it: detach " + quote(slices.Concat(args[:at], []string{"--"}, command)...),
		}
	}
	o.cmd.Path, o.cmd.Args = command[0], command
	o.cmd.Env = environment(clean, unset, set)
	o.cmd.Manager = manager()
	return o, nil
}

// manager is the parent of detach, which the daemon is to outlive. PID 1 of the
// machine is none: it outlives everything, and a parent that has ended leaves
// its children to it. PID 1 of a container is one.
func manager() int {
	const initial = "pid:[4026531836]" // PROC_PID_INIT_INO, linux/proc_ns.h
	parent := os.Getppid()
	if parent > 1 {
		return parent
	}
	if namespace, err := os.Readlink("/proc/self/ns/pid"); parent == 1 && err == nil && namespace != initial {
		return parent
	}
	return 0
}

// usageError is a command line that cannot be understood.
type usageError struct {
	text, hint string
}

func (e *usageError) Error() string { return "detach: " + e.text }

// textValue is a string flag that takes neither nothing, which is mostly a
// variable that is not set, nor the "--" that was meant to end the flags.
type textValue string

func (v *textValue) String() string { return string(*v) }

func (v *textValue) Set(s string) error {
	if s == "" || s == "--" {
		return errors.New("needs a value")
	}
	*v = textValue(s)
	return nil
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
func environment(clean bool, unset, set []string) []string {
	env := []string{}
	if !clean {
		env = detach.Environ()
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
