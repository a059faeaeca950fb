package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/detachkit/detach/detach"
)

const stopUsage = `Usage: detach stop [flags] TARGET...

Stop daemons, each with everything in its session and in a container that it
runs, even if its first process has ended: first by the command on its console
or by a signal, then by SIGKILL. What has left the session otherwise, by a
setsid of its own, is not stopped. Remove the PID file and the record, and the
cgroup that was made for it, if the PID file leads to that. PID 1, and what the
caller descends from, is not stopped by its PID.
TARGET is a PID file, a record, a PID, or an identity as --json prints it.

      --signal NAME    send this signal first (default: TERM), a name or number
      --timeout TIME   time to end before SIGKILL, such as 90s (default: 30s);
                       0 is SIGKILL at once
      --console LINE   write LINE to the console instead of sending a signal;
                       if it cannot be written, there is the signal
      --json           print one JSON object for each target
  -q, --quiet          print only errors; not that LINE could not be written
  -h, --help           print this text

Exit status:
  0    none of them runs any more, or none ran
  125  one of them could not be stopped, or detach was misused or interrupted

Example:
  detach stop --timeout 2m --console stop server.pid
`

func runStop(args []string, stdout, stderr io.Writer) (status int) {
	var o detach.StopOptions
	var line string
	var asJSON, quiet bool
	flags := newFlags("detach stop")
	flags.value(func(s string) (err error) {
		o.Signal, err = parseSignal(s)
		return err
	}, "", "signal")
	flags.value(func(s string) (err error) {
		if o.Timeout, err = parseDuration(s); err == nil && o.Timeout == 0 {
			o.Timeout = -1
		}
		return err
	}, "", "timeout")
	flags.text(&line, "", "console")
	flags.toggle(&asJSON, "", "json")
	flags.toggle(&quiet, "q", "quiet")
	if status, over := flags.begin(args, stopUsage, stdout, stderr); over {
		return status
	}
	targets, err := parseTargets(flags.Args(), "detach stop [flags] TARGET...")
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	o.Console = line
	ctx, cancel := interruptible()
	defer cancel()
	var progress *stopLine
	if !quiet && !asJSON && isTerminal(stderr) {
		progress = &stopLine{w: stderr, targets: targets, left: len(targets)}
	}
	for i, done := range stopAll(ctx, targets, o, progress) {
		stopped := <-done
		progress.clear()
		status = max(status, stopped.report(stdout, stderr, targets[i], asJSON, quiet))
	}
	return status
}

// stopResult is what has become of one target.
type stopResult struct {
	detach.Stopped
	err         error
	interrupted bool
}

// stopAll stops all targets, some at a time: each takes a few descriptors.
func stopAll(ctx context.Context, targets []target, o detach.StopOptions, progress *stopLine) []chan stopResult {
	const atOnce = 100
	slots := make(chan struct{}, atOnce)
	results := make([]chan stopResult, len(targets))
	for i, t := range targets {
		results[i] = make(chan stopResult, 1)
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			o := o
			if progress != nil {
				o.Progress = func(p detach.StopProgress) { progress.show(t, p) }
			}
			stopped, err := t.stop(ctx, o)
			progress.ended()
			results[i] <- stopResult{stopped, err, ctx.Err() != nil && errors.Is(err, ctx.Err())}
		}()
	}
	return results
}

func (r stopResult) report(stdout, stderr io.Writer, t target, asJSON, quiet bool) (status int) {
	if r.interrupted {
		fmt.Fprintf(stderr, "detach: stop %s: interrupted\n", quoteOdd(t.text))
		return statusFailed
	}
	if r.err != nil {
		t.report(stderr, r.err)
		if errors.Is(r.err, fs.ErrPermission) {
			fmt.Fprintln(stderr, "hint: it belongs to another user; stop it as that user, or as root")
		}
		return statusFailed
	}
	if r.Note != "" && !quiet {
		fmt.Fprintf(stderr, "detach: warning: stop %s: %s\n", quoteOdd(t.text), r.Note)
	}
	switch {
	case asJSON:
		return write(stdout, stderr, encode(struct {
			Target string     `json:"target"`
			Kind   targetKind `json:"target_is"`
			detach.Stopped
		}{t.text, t.kind, r.Stopped}))
	case quiet:
		return 0
	}
	return write(stdout, stderr, fmt.Sprintf("%s: %s\n", t, stopWords(r.Stopped)))
}

// stop stops the daemon; one that has ended is stopped already.
func (t target) stop(ctx context.Context, o detach.StopOptions) (detach.Stopped, error) {
	if t.named() {
		return detach.Stop(ctx, t.text, o)
	}
	p, err := t.open()
	if errors.Is(err, detach.ErrExited) {
		return detach.Stopped{How: detach.StopGone}, nil
	}
	if err != nil {
		return detach.Stopped{}, err
	}
	defer p.Close()
	return p.Stop(ctx, o)
}

func stopWords(s detach.Stopped) string {
	took := s.Took.Round(100 * time.Millisecond)
	if took < time.Second {
		took = s.Took.Round(time.Millisecond)
	}
	switch s.How {
	case detach.StopGone:
		return "not running"
	case detach.StopKilled:
		return fmt.Sprintf("killed after %v", took)
	case detach.StopSignal:
		return fmt.Sprintf("stopped in %v (%s)", took, s.Signal)
	}
	return fmt.Sprintf("stopped in %v (%s)", took, s.How)
}

// stopLine is the line of progress on a terminal, for all targets together.
type stopLine struct {
	w       io.Writer
	targets []target
	mutex   sync.Mutex
	left    int
	shown   bool
	last    time.Time
}

func (l *stopLine) show(t target, p detach.StopProgress) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if time.Since(l.last) < 100*time.Millisecond {
		return
	}
	l.shown, l.last = true, time.Now()
	elapsed := p.Elapsed.Round(time.Second)
	doing := "stopping"
	if p.Killing {
		doing = "killing"
	}
	if len(l.targets) > 1 {
		progressLine(l.w, fmt.Sprintf("%s: %d of %d left, %v", doing, l.left, len(l.targets), elapsed))
		return
	}
	progressLine(l.w, fmt.Sprintf("%s: %s, %d left, %v", t, doing, len(p.Left), elapsed))
}

// ended counts a target that is done.
func (l *stopLine) ended() {
	if l != nil {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		l.left--
	}
}

// clear takes the line away, for what is to be printed there.
func (l *stopLine) clear() {
	if l == nil {
		return
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.shown {
		l.shown = false
		fmt.Fprint(l.w, clearLine)
	}
}

// parseSignal takes TERM, SIGTERM and 15.
func parseSignal(s string) (os.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n > 64 {
			return nil, errors.New("is not the number of a signal")
		}
		return syscall.Signal(n), nil
	}
	if n := signalNamed("SIG" + strings.TrimPrefix(strings.ToUpper(s), "SIG")); n != 0 {
		return n, nil
	}
	return nil, errors.New("is not the name of a signal")
}
