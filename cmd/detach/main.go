// Detach starts a program that outlives whoever asked for it.
//
// Its usage text is in usage.go; what it does is in package detach.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/detachkit/detach/detach"
)

// lockTimeout is how long to wait for other starts that use the same folder
// for their PID files. One takes milliseconds.
const lockTimeout = 30 * time.Second

func main() {
	// A reader that went away is an error to handle, not a reason to die with
	// a daemon started and not reported.
	signal.Ignore(syscall.SIGPIPE)
	notSubreaper()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) (status int) {
	o, err := parse(args)
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	switch {
	case o.help:
		return write(stdout, stderr, usage)
	case o.version:
		return write(stdout, stderr, "detach "+version()+"\n")
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	daemon, err := o.cmd.Start(ctx)
	if err != nil {
		report(stderr, err)
		return exitStatus(err)
	}
	defer daemon.Close()
	if !o.quiet {
		warn(stderr, daemon.Report.Hazards)
	}
	if o.quiet && !o.json {
		return statusStarted
	}
	status = write(stdout, stderr, result(daemon, o.json))
	if status != statusStarted {
		// Whoever asked does not know that it runs, and would start another.
		if err := daemon.Kill(context.Background()); err != nil {
			report(stderr, err)
		}
	}
	return status
}

// result is what standard output is for: the PID, or all that is known.
func result(p *detach.Process, asJSON bool) string {
	if !asJSON {
		return fmt.Sprintln(p.PID)
	}
	data, err := json.Marshal(struct {
		Identity string `json:"identity"`
		detach.Record
		detach.Report
	}{p.Identity().String(), p.Record, p.Report})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return string(data) + "\n"
}

func write(stdout, stderr io.Writer, s string) (status int) {
	if _, err := io.WriteString(stdout, s); err != nil {
		report(stderr, fmt.Errorf("detach: write standard output: %w", underlying(err)))
		return statusFailed
	}
	return statusStarted
}
