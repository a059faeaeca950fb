//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The exit statuses.
const (
	statusSurvived = 0
	statusDied     = 1
	statusError    = 125 // detachtest itself failed, wrong usage included
)

// version is set by packagers; without it the build tells.
var version string

// roles are what detachtest starts itself as, by the first argument. They have
// at least one more.
var roles = map[string]func(args []string) error{
	probeWord:   beProbe,
	managerWord: beManager,
	shellWord:   beShell,
	preludeWord: bePrelude,
	guestWord:   beGuest,
}

// In all roles the main goroutine keeps to the main thread: what a probe was
// born with, and what an exec keeps, is that thread's.
func init() {
	if len(os.Args) > 2 && strings.HasPrefix(os.Args[1], "__") {
		runtime.LockOSThread()
	}
}

func main() {
	if len(os.Args) > 2 {
		if be, ok := roles[os.Args[1]]; ok {
			if err := be(os.Args[2:]); err != nil {
				complain(os.Stderr, err)
				os.Exit(statusError)
			}
			os.Exit(0)
		}
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process around it.
func run(args []string, stdout, stderr io.Writer) (status int) {
	o, err := parseOptions(args)
	if err != nil {
		complain(stderr, err, "detachtest --help shows how it is used")
		return statusError
	}
	switch {
	case o.help:
		err = write(stdout, usage)
	case o.version:
		err = write(stdout, "detachtest "+buildVersion()+"\n")
	case o.list:
		err = write(stdout, listDeaths())
	default:
		status, err = test(o, stdout, stderr)
	}
	if err != nil {
		complain(stderr, err)
		return statusError
	}
	return status
}

// test runs the matrix and writes the reports.
func test(o *options, stdout, stderr io.Writer) (status int, err error) {
	if err := keepDescriptors(); err != nil {
		return 0, err
	}
	var expected []expectation
	if o.expect != "" {
		if expected, err = readExpect(o.expect); err != nil {
			return 0, err
		}
	}
	files, err := openOutputs(o.outputs)
	if err != nil {
		return 0, err
	}
	if o.compareKnown {
		missing, err := o.addKnown()
		if err != nil {
			return 0, err
		}
		if len(missing) > 0 {
			complain(stderr, fmt.Errorf("not found here: %s", strings.Join(missing, ", ")))
		}
	}
	// Caught here, these signals are at their defaults in what is started,
	// even if detachtest was started with them ignored.
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer cancel()
	var runs []*results
	for run := range o.repeat {
		m := &matrix{launchers: o.launchers, deaths: o.deaths, require: o.require}
		r, err := runMatrix(ctx, m, o, run, progressTerminal(o, stdout, stderr))
		if err != nil {
			return 0, err
		}
		runs = append(runs, r)
	}
	r := merge(runs)

	errs := []error{files.write(r)}
	if !r.survived {
		status = statusDied
	}
	if o.expect != "" {
		differences := r.differences(expected, o.isSkipped)
		status = statusSurvived
		if len(differences) > 0 {
			status = statusDied
		}
		errs = append(errs, writeDifferences(stdout, differences))
	} else {
		errs = append(errs, writeReport(stdout, o.format, r))
	}
	if o.time {
		errs = append(errs, writeTimes(stderr, r))
	}
	return status, errors.Join(errs...)
}

// runMatrix runs everything once, with progress on a terminal, nil for none.
func runMatrix(ctx context.Context, m *matrix, o *options, run int, terminal *os.File) (*results, error) {
	if terminal != nil {
		m.progress = startProgress(terminal, newReport(m), run+1, o.repeat)
	}
	began := time.Now()
	err := m.run(ctx, o.timeout)
	m.progress.stop()
	if err != nil {
		return nil, err
	}
	r := newReport(m)
	r.at, r.took = began, time.Since(began)
	return r, nil
}

// complain writes an error, and hints on lines of their own.
func complain(w io.Writer, err error, hints ...string) {
	fmt.Fprintf(w, "detachtest: %v\n", err)
	for _, hint := range hints {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

func write(w io.Writer, s string) error {
	_, err := io.WriteString(w, s)
	return err
}

func listDeaths() string {
	var b strings.Builder
	for _, d := range deaths {
		fmt.Fprintf(&b, "%-15s %s\n", d.name, d.who)
	}
	fmt.Fprintf(&b, "\nAlways first:\n%-15s %s\n", control.name, control.who)
	return b.String()
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}
