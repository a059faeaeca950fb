//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"

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
	testerWord:  beTester,
	probeWord:   beProbe,
	managerWord: beManager,
	shellWord:   beShell,

	waitingManagerWord: beWaitingManager,
	carelessWord:       beCareless,
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
// report.
func test(o *options, base string, stdout io.Writer) (status int, err error) {
	if err := keepDescriptors(); err != nil {
		return 0, err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), endingSignals...)
	defer cancel()
	if o.stress > 0 {
		return testStress(ctx, o, base, stdout)
	}
	m := &matrix{launchers: o.launchers, deaths: o.deaths, checks: o.checks}
	if err := m.run(ctx, base, o.timeout); err != nil {
		return 0, err
	}
	if o.format == formatJSON {
		err = writeJSON(stdout, m)
	} else {
		err = writeTable(stdout, m, wantsColour(stdout))
	}
	if err != nil || m.survived() && (m.clean() || !o.strict) {
		return statusSurvived, err
	}
	return statusDied, nil
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
		fmt.Fprintf(&b, "%-14s %s\n", d.name, d.who)
	}
	b.WriteString("\nHygiene:\n")
	for _, c := range checks {
		fmt.Fprintf(&b, "%-14s %s\n", c.name, c.who)
	}
	fmt.Fprintf(&b, "\nAlways first:\n%-14s %s\n", control.name, control.who)
	return b.String()
}

// wantsColour tells whether w is a terminal whose user has not declined.
func wantsColour(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
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
