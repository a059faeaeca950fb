package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/detachkit/detach/detach"
)

const waitUsage = `Usage: detach wait [flags] TARGET...

Wait until all of these daemons have ended, and print how each did. How is known
of one that ended while it was waited for, on Linux 6.15 and later, and often
before; and of one that systemd holds, as long as what it has left runs. TARGET
is a PID file, a record, a PID, or an identity as --json prints it. A PID file
that is not there is an error, for it may be the wrong name; a daemon that has
ended and left its PID file has ended: then only a limit on memory that it
reached can still be told, of one in a cgroup of its own. With --restart it
is the next end of the program, which systemd starts again meanwhile.

      --timeout TIME   wait no longer than this, such as 90s (default: for ever)
      --json           print one JSON object for each target
  -h, --help           print this text

Exit status:
  0    all of them have ended
  124  the time is over
  125  detach failed, or was misused

Example:
  detach wait --timeout 1m server.pid
`

func runWait(args []string, stdout, stderr io.Writer) (status int) {
	var timeout time.Duration
	limited := false
	var asJSON bool
	flags := newFlags("detach wait")
	flags.value(func(s string) (err error) {
		timeout, err = parseDuration(s)
		limited = true
		return err
	}, "", "timeout")
	flags.toggle(&asJSON, "", "json")
	if status, over := flags.begin(args, waitUsage, stdout, stderr); over {
		return status
	}
	targets, err := parseTargets(flags.Args(), "detach wait [flags] TARGET...")
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	ctx, cancel := interruptible()
	defer cancel()
	if limited {
		var cancelTimeout context.CancelFunc
		ctx, cancelTimeout = context.WithTimeout(ctx, timeout)
		defer cancelTimeout()
	}
	var all sync.WaitGroup
	var printing sync.Mutex
	for _, t := range targets {
		all.Go(func() {
			exit, err := t.wait(ctx)
			printing.Lock()
			defer printing.Unlock()
			status = max(status, reportEnd(stdout, stderr, t, exit, err, asJSON))
		})
	}
	all.Wait()
	return status
}

// wait waits for the end of the daemon. It may be over already.
func (t target) wait(ctx context.Context) (detach.Exit, error) {
	p, err := t.openWithin(ctx)
	if errors.Is(err, detach.ErrExited) {
		// What its cgroup tells is known as long as that is there.
		if p, err = t.openWithin(ctx); notRunning(err) {
			return detach.Exit{}, nil
		}
	}
	if err != nil {
		return detach.Exit{}, err
	}
	defer p.Close()
	return p.Wait(ctx)
}

// openWithin is openAny, which waits for what systemd is about to start again.
func (t target) openWithin(ctx context.Context) (*detach.Process, error) {
	type result struct {
		p   *detach.Process
		err error
	}
	opened := make(chan result, 1)
	go func() {
		p, err := t.openAny()
		opened <- result{p, err}
	}()
	select {
	case r := <-opened:
		return r.p, r.err
	case <-ctx.Done(): // this process ends soon
		return nil, ctx.Err()
	}
}

func reportEnd(stdout, stderr io.Writer, t target, exit detach.Exit, err error, asJSON bool) (status int) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(stderr, "detach: wait for %s: still runs\n", t)
		return statusTimeout
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(stderr, "detach: wait for %s: interrupted\n", t)
		return statusFailed
	case err != nil:
		t.complain(stderr, err)
		return statusFailed
	}
	if !asJSON {
		return write(stdout, stderr, fmt.Sprintf("%s: ended, %s\n", t, exit))
	}
	data, err := json.Marshal(struct {
		Target string      `json:"target"`
		Kind   targetKind  `json:"target_is"`
		Exit   detach.Exit `json:"exit"`
	}{t.text, t.kind, exit})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return write(stdout, stderr, string(data)+"\n")
}
