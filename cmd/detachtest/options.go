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
	deaths    []death
	checks    []check
	strict    bool
	stress    int    // launches, 0 for none of it
	seed      uint64 // 0 for any
	timeout   time.Duration
	format    string
	list      bool
	version   bool
	help      bool
}

// The formats of the report.
const (
	formatTable = "table"
	formatJSON  = "json"
)

// parseOptions parses the command line. It neither prints nor exits.
func parseOptions(args []string) (*options, error) {
	o := &options{timeout: 30 * time.Second, format: formatTable}
	var shell, manager bool
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
		{func(name string) { flags.Func(name, "", o.addLauncher) }, "L", "launcher"},
		{func(name string) { flags.StringVar(&only, name, "", "") }, "o", "only"},
		{func(name string) { flags.StringVar(&skip, name, "", "") }, "x", "skip"},
		{func(name string) { flags.BoolVar(&o.strict, name, false, "") }, "S", "strict"},
		{func(name string) { flags.IntVar(&o.stress, name, 0, "") }, "race", "stress"},
		{func(name string) { flags.Uint64Var(&o.seed, name, 0, "") }, "", "seed"},
		{func(name string) { flags.DurationVar(&o.timeout, name, o.timeout, "") }, "t", "timeout"},
		{func(name string) { flags.StringVar(&o.format, name, o.format, "") }, "f", "format"},
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
	if o.format != formatTable && o.format != formatJSON {
		return nil, fmt.Errorf("unknown format %q", o.format)
	}
	if o.stress < 0 {
		return nil, fmt.Errorf("stress of %d launches", o.stress)
	}
	if o.timeout <= 0 {
		return nil, fmt.Errorf("timeout %v is not positive", o.timeout)
	}
	if words := flags.Args(); len(words) > 0 {
		if shell && len(words) > 1 {
			return nil, errors.New("--shell takes one line: put it in quotes")
		}
		o.launchers = slices.Insert(o.launchers, 0, launcher{name: strings.Join(words, " "), words: words})
	}
	if len(o.launchers) == 0 {
		return nil, errors.New("no launcher given")
	}
	for i := range o.launchers {
		o.launchers[i].shell, o.launchers[i].manager = shell, manager
	}
	var err error
	o.deaths, o.checks, err = selectRows(only, skip)
	return o, err
}

func (o *options) addLauncher(s string) error {
	l, err := parseLauncher(s)
	o.launchers = append(o.launchers, l)
	return err
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
