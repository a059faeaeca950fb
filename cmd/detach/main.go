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

	"github.com/detachkit/detach/detach"
)

func main() {
	// A reader that went away is an error to handle, not a reason to die with
	// a daemon started and not reported.
	signal.Ignore(syscall.SIGPIPE)
	notSubreaper()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) (status int) {
	if len(args) > 0 {
		if v := verbNamed(args[0]); v != nil {
			return v.run(args[1:], stdout, stderr)
		}
	}
	return start(args, stdout, stderr)
}

func start(args []string, stdout, stderr io.Writer) (status int) {
	o, err := parse("detach", args)
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
	daemon, err := o.start(stderr)
	if err != nil {
		report(stderr, o.explain(err))
		status = exitStatus(err)
	}
	if daemon == nil {
		return status
	}
	defer daemon.Close()
	if !o.quiet {
		warn(stderr, daemon.Report.Hazards)
	}
	if o.quiet && !o.json {
		return status
	}
	if failed := write(stdout, stderr, result(daemon, o.json)); failed != statusStarted {
		// Whoever asked does not know that it runs, and would start another.
		if err := daemon.Kill(context.Background()); err != nil {
			report(stderr, err)
		}
		return failed
	}
	return status
}

// start starts the program. While it is waited for, a signal that asks detach
// to end stops what it has started, and a second one kills it.
func (o *options) start(stderr io.Writer) (*detach.Process, error) {
	ctx := context.Background()
	if len(o.cmd.Ready.When) > 0 {
		var cancel context.CancelFunc
		ctx, cancel = o.interruptible()
		defer cancel()
		if !o.quiet && isTerminal(stderr) {
			o.cmd.Ready.Progress = func(p detach.ReadyProgress) { readyLine(stderr, p) }
			defer fmt.Fprint(stderr, clearLine)
		}
	}
	return o.cmd.Start(ctx)
}

// interruptible returns the context of a start that is waited for.
func (o *options) interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	onSignal(signals, endSignals...)
	waited := make(chan *detach.Process, 1)
	o.cmd.Ready.Waiting = func(p *detach.Process) { waited <- p }
	over := make(chan struct{})
	await := func() bool {
		select {
		case <-signals:
			return true
		case <-over:
			return false
		}
	}
	go func() {
		if !await() {
			return
		}
		cancel()
		if !await() {
			return
		}
		select {
		case p := <-waited:
			_, _ = p.Stop(context.Background(), detach.StopOptions{Timeout: -1}) // Start says what fails
		case <-over:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		cancel()
	}
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
