//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	launchers []launcher
	// compareKnown: the known launchers that work here are to be added.
	compareKnown bool
	deaths       []death
	checks       []check
	skipped      map[string]bool // the names of the rows that --only and --skip leave out
	strict       bool            // bad hygiene is a failure
	require      bool            // what is not run is a failure
	stress       int             // launches, 0 for none of it
	seed         uint64          // 0 for any
	timeout      time.Duration
	format       string
	outputs      []string // files, each in the format of its ending
	expect       string   // a file
	repeat       int
	time         bool
	list         bool
	version      bool
	help         bool
}

// parseOptions parses the command line. It neither prints nor exits.
func parseOptions(args []string) (*options, error) {
	o := &options{timeout: 30 * time.Second, format: formatTable, repeat: 1}
	var shell, manager bool
	var named, files []string
	var only, skip string
	flags := flag.NewFlagSet("detachtest", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	for _, f := range []struct {
		define      func(name string)
		short, long string
	}{
		{func(name string) { flags.BoolVar(&shell, name, false, "") }, "s", "shell"},
		{func(name string) { flags.BoolVar(&manager, name, false, "") }, "m", "manager"},
		{func(name string) { flags.Func(name, "", appendTo(&named)) }, "L", "launcher"},
		{func(name string) { flags.Func(name, "", appendTo(&files)) }, "c", "compare"},
		{func(name string) { flags.BoolVar(&o.compareKnown, name, false, "") }, "k", "compare-known"},
		{func(name string) { flags.StringVar(&only, name, "", "") }, "o", "only"},
		{func(name string) { flags.StringVar(&skip, name, "", "") }, "x", "skip"},
		{func(name string) { flags.BoolVar(&o.strict, name, false, "") }, "S", "strict"},
		{func(name string) { flags.IntVar(&o.stress, name, 0, "") }, "race", "stress"},
		{func(name string) { flags.Uint64Var(&o.seed, name, 0, "") }, "", "seed"},
		{func(name string) { flags.DurationVar(&o.timeout, name, o.timeout, "") }, "t", "timeout"},
		{func(name string) { flags.StringVar(&o.format, name, o.format, "") }, "f", "format"},
		{func(name string) { flags.Func(name, "", appendTo(&o.outputs)) }, "O", "output"},
		{func(name string) { flags.StringVar(&o.expect, name, "", "") }, "e", "expect"},
		{func(name string) { flags.IntVar(&o.repeat, name, o.repeat, "") }, "n", "repeat"},
		{func(name string) { flags.BoolVar(&o.time, name, false, "") }, "T", "time"},
		{func(name string) { flags.BoolVar(&o.require, name, false, "") }, "r", "require"},
		{func(name string) { flags.BoolVar(&o.list, name, false, "") }, "l", "list"},
		{func(name string) { flags.BoolVar(&o.version, name, false, "") }, "V", "version"},
		{func(name string) { flags.BoolVar(&o.help, name, false, "") }, "h", "help"},
	} {
		if f.short != "" {
			f.define(f.short)
		}
		f.define(f.long)
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.help || o.list || o.version {
		return o, nil
	}
	if _, ok := formats[o.format]; !ok {
		return nil, fmt.Errorf("unknown format %q", o.format)
	}
	for _, path := range o.outputs {
		if _, err := formatOf(path); err != nil {
			return nil, err
		}
	}
	if err := o.checkStress(); err != nil {
		return nil, err
	}
	if o.timeout <= 0 {
		return nil, fmt.Errorf("timeout %v is not positive", o.timeout)
	}
	if o.repeat <= 0 {
		return nil, fmt.Errorf("%d runs are not positive", o.repeat)
	}
	if words := flags.Args(); len(words) > 0 {
		if shell && len(words) > 1 {
			return nil, errors.New("--shell takes one line: put it in quotes")
		}
		o.launchers = append(o.launchers, launcher{strings.Join(words, " "), words, shell, manager})
	}
	if err := o.addLaunchers(named, files, shell, manager); err != nil {
		return nil, err
	}
	if len(o.launchers) == 0 && !o.compareKnown {
		return nil, errors.New("no launcher given")
	}
	var err error
	o.deaths, o.checks, err = selectRows(only, skip)
	o.skipped = map[string]bool{}
	for _, d := range deaths {
		o.skipped[d.name] = !slices.ContainsFunc(o.deaths, func(selected death) bool { return selected.name == d.name })
	}
	for _, c := range checks {
		o.skipped[c.name] = !slices.ContainsFunc(o.checks, func(selected check) bool { return selected.name == c.name })
	}
	return o, err
}

// checkStress refuses what a stress does not do, rather than leave it out.
func (o *options) checkStress() error {
	if o.stress < 0 {
		return fmt.Errorf("stress of %d launches", o.stress)
	}
	if o.stress == 0 {
		return nil
	}
	if o.format != formatTable && o.format != formatJSON {
		return fmt.Errorf("no format %q of a stress: table or json", o.format)
	}
	if len(o.outputs) > 0 || o.expect != "" || o.repeat != 1 || o.time {
		return errors.New("--stress goes without --output, --expect, --repeat and --time")
	}
	return nil
}

func appendTo(list *[]string) func(string) error {
	return func(s string) error {
		*list = append(*list, s)
		return nil
	}
}

// addLaunchers adds those named on the command line, and those in files. What
// the flags say of all launchers holds for them too.
func (o *options) addLaunchers(named, files []string, shell, manager bool) error {
	marks := ""
	if shell {
		marks += shellMark
	}
	if manager {
		marks += managerMark
	}
	parse := func(s string) (launcher, error) {
		if _, err := parseLauncher(s); err != nil {
			return launcher{}, err
		}
		name, command, _ := strings.Cut(s, "=")
		return parseLauncher(name + "=" + marks + command)
	}
	var added []launcher
	for _, s := range named {
		l, err := parse(s)
		if err != nil {
			return err
		}
		added = append(added, l)
	}
	for _, path := range files {
		launchers, err := readLaunchers(path, parse)
		if err != nil {
			return err
		}
		added = append(added, launchers...)
	}
	for _, l := range added {
		if o.has(l.name) {
			return fmt.Errorf("two launchers are called %q", l.name)
		}
		o.launchers = append(o.launchers, l)
	}
	return nil
}

// addKnown adds the known launchers that work here and whose name the user has
// not given to one of his own. It returns the names of those that do not work.
func (o *options) addKnown() (missing []string, err error) {
	known, missing, err := findKnownLaunchers()
	if err != nil {
		return nil, err
	}
	for _, l := range known {
		if !o.has(l.name) {
			o.launchers = append(o.launchers, l)
		}
	}
	return slices.DeleteFunc(missing, o.has), nil
}

// isSkipped tells whether a row was left out on purpose.
func (o *options) isSkipped(row string) bool { return o.skipped[row] }

func (o *options) has(name string) bool {
	return slices.ContainsFunc(o.launchers, func(l launcher) bool { return l.name == name })
}

// hygiene, in a list of names, stands for all checks.
const hygiene = "hygiene"

// selectRows returns the deaths and checks in only, or all of them, that are
// not in skip, in their usual order. Both are lists with commas, empty for none.
func selectRows(only, skip string) ([]death, []check, error) {
	names := func(list string) []string {
		return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	}
	wanted, unwanted := names(only), names(skip)
	for _, name := range slices.Concat(wanted, unwanted) {
		if name != hygiene &&
			!slices.ContainsFunc(deaths, func(d death) bool { return d.name == name }) &&
			!slices.ContainsFunc(checks, func(c check) bool { return c.name == name }) {
			return nil, nil, fmt.Errorf("unknown death or check %q", name)
		}
	}
	isSelected := func(name ...string) bool {
		in := func(list []string) bool {
			return slices.ContainsFunc(name, func(s string) bool { return slices.Contains(list, s) })
		}
		return (only == "" || in(wanted)) && !in(unwanted)
	}
	selectedDeaths := slices.DeleteFunc(slices.Clone(deaths), func(d death) bool { return !isSelected(d.name) })
	selectedChecks := slices.DeleteFunc(slices.Clone(checks), func(c check) bool { return !isSelected(c.name, hygiene) })
	if len(selectedDeaths)+len(selectedChecks) == 0 {
		return nil, nil, errors.New("nothing is left to test")
	}
	return selectedDeaths, selectedChecks, nil
}
