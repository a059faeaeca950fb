package main

import (
	"errors"
	"flag"
	"io"
	"time"
)

// flagSet is the flags of detach or of a verb. Each has a long name and may
// have a short one; "" is none.
type flagSet struct {
	*flag.FlagSet
	command string // as the user calls it: "detach", "detach stop"
}

func newFlags(command string) flagSet {
	f := flagSet{flag.NewFlagSet(command, flag.ContinueOnError), command}
	f.SetOutput(io.Discard) // its errors are reported as all others are
	f.Usage = func() {}
	return f
}

// parse parses the flags before the first operand.
func (f flagSet) parse(args []string) error {
	if err := f.Parse(args); err != nil {
		return &usageError{err.Error(), f.command + " --help lists the flags"}
	}
	return nil
}

// begin parses the flags of a verb, with -h and --help for its usage text. over
// tells that all has been said and done, and what to exit with.
func (f flagSet) begin(args []string, usage string, stdout, stderr io.Writer) (status int, over bool) {
	var help bool
	f.toggle(&help, "h", "help")
	if err := f.parse(args); err != nil {
		report(stderr, err)
		return statusFailed, true
	}
	if help {
		return write(stdout, stderr, usage), true
	}
	return statusStarted, false
}

func both(define func(name string), short, long string) {
	if short != "" {
		define(short)
	}
	define(long)
}

func (f flagSet) text(to *string, short, long string) {
	both(func(name string) { f.Var((*textValue)(to), name, "") }, short, long)
}

func (f flagSet) toggle(to *bool, short, long string) {
	both(func(name string) { f.BoolVar(to, name, false, "") }, short, long)
}

func (f flagSet) value(set func(string) error, short, long string) {
	both(func(name string) { f.Func(name, "", set) }, short, long)
}

// duration takes 1.5s, 2m and the like, and a plain number as seconds.
func (f flagSet) duration(to *time.Duration, short, long string) {
	f.value(func(s string) (err error) {
		*to, err = parseDuration(s)
		return err
	}, short, long)
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		d, err = time.ParseDuration(s + "s")
	}
	if err != nil || d < 0 {
		return 0, errors.New("is not a duration such as 30s, 500ms or 2m")
	}
	return d, nil
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
