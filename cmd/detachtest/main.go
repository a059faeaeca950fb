//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
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
	testerWord:  beTester,
	probeWord:   beProbe,
	managerWord: beManager,
	shellWord:   beShell,
	preludeWord: bePrelude,
	guestWord:   beGuest,

	waitingManagerWord: beWaitingManager,
	carelessWord:       beCareless,
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
		err = write(stdout, listRows())
	default:
		status, err = guard(args, stdout, stderr)
	}
	if err != nil {
		complain(stderr, err)
		return statusError
	}
	return status
}

// test runs the matrix, with its files in the folder base, and writes the
// reports.
func test(o *options, base string, stdout, stderr io.Writer) (status int, err error) {
	// The guard may be dead.
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
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
	ctx, cancel := signal.NotifyContext(context.Background(), endingSignals...)
	defer cancel()
	if o.stress > 0 {
		return testStress(ctx, o, base, stdout)
	}
	var runs []*results
	for run := range o.repeat {
		r, err := runMatrix(ctx, o, base, run, progressTerminal(o, stdout, stderr))
		if err != nil {
			return 0, err
		}
		runs = append(runs, r)
	}
	r := merge(runs)

	errs := []error{files.write(r)}
	if !r.survived || o.strict && !r.clean {
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
func runMatrix(ctx context.Context, o *options, base string, run int, terminal *os.File) (*results, error) {
	m := &matrix{launchers: o.launchers, deaths: o.deaths, checks: o.checks, require: o.require}
	dir := filepath.Join(base, fmt.Sprintf("run-%d", run+1))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if terminal != nil {
		m.progress = startProgress(terminal, newReport(m), run+1, o.repeat)
	}
	began := time.Now()
	err := m.run(ctx, dir, o.timeout)
	m.progress.stop()
	if err != nil {
		return nil, err
	}
	r := newReport(m)
	r.strict = o.strict
	r.at, r.took = began, time.Since(began)
	return r, nil
}

// testStress puts the launchers to the stress and writes the report.
func testStress(ctx context.Context, o *options, base string, stdout io.Writer) (status int, err error) {
	s := &stress{launchers: o.launchers, launches: o.stress, seed: o.seed, timeout: o.timeout}
	for s.seed == 0 {
		s.seed = rand.Uint64()
	}
	if err := s.run(ctx, base); err != nil {
		return 0, err
	}
	if o.format == formatJSON {
		err = writeStressJSON(stdout, s)
	} else {
		err = writeStress(stdout, s)
	}
	if err != nil || s.clean() {
		return statusSurvived, err
	}
	return statusDied, nil
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

func listRows() string {
	var b strings.Builder
	for _, d := range deaths {
		fmt.Fprintf(&b, "%-16s %s\n", d.name, d.who)
	}
	b.WriteString("\nHygiene:\n")
	for _, c := range checks {
		fmt.Fprintf(&b, "%-16s %s\n", c.name, c.who)
	}
	fmt.Fprintf(&b, "\nAlways first:\n%-16s %s\n", control.name, control.who)
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
