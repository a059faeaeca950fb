package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/detachkit/detach/detach"
)

const (
	consolePatience = 5 * time.Second        // for a line to be read
	lastAnswer      = 500 * time.Millisecond // for the daemon to answer the last line of a script
	longestTyped    = 64 << 10               // bytes of a line; more than the daemon takes anyway
)

// attach is between the standard streams, a terminal mostly, and the console and
// logs of a daemon. Lines are edited by the terminal, which stays as it is.
func attach(t target, p *detach.Process, lines int, stdout, stderr io.Writer) (status int) {
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, syscall.SIGINT)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	tail := newLogTail(p.Record, stdout, func(path string, err error) {
		report(stderr, &detach.Error{Op: "logs", Path: path, Err: underlying(err)})
	})
	if tail == nil {
		fmt.Fprintf(stderr, "detach: warning: console %s: %v\n", quoteOdd(t.text), detach.ErrNoLog)
		tail = &logTail{stdout: stdout}
	}
	leave := make(chan struct{})
	printed := make(chan error, 1)
	go func() { printed <- tail.run(lines, leave) }()
	ended := make(chan detach.Exit, 1)
	go func() {
		if exit, err := p.Wait(ctx); err == nil {
			ended <- exit
		} else if ctx.Err() == nil {
			report(stderr, err)
		}
	}()
	typing := &typist{process: p, patience: consolePatience, stderr: stderr}
	typed := make(chan struct{})
	go func() {
		defer close(typed)
		typing.run(ctx, os.Stdin)
	}()

	var last string
	var answered <-chan time.Time
	for leaving := false; !leaving; {
		select {
		case <-interrupt:
			endLine(stderr) // behind the ^C
			return typing.status()
		case err := <-printed:
			report(stderr, outputFailed(err))
			return statusFailed
		case exit := <-ended:
			if typed != nil && !isTerminal(os.Stdin) {
				waitFor(typed, lastAnswer) // it says which line came too late
			}
			last = fmt.Sprintf("%s: ended, %s\n", t, exit)
			leaving = true
		case <-typed:
			typed = nil
			answered = time.After(lastAnswer)
			leaving = isTerminal(os.Stdin)
		case <-answered:
			leaving = true
		}
	}
	close(leave)
	select {
	case <-interrupt: // whoever reads it has stalled
		return typing.status()
	case err := <-printed:
		if err != nil {
			report(stderr, outputFailed(err))
			return statusFailed
		}
	}
	if tail.inLine {
		endLine(stdout)
	}
	fmt.Fprint(stderr, last)
	return typing.status()
}

func waitFor(done <-chan struct{}, most time.Duration) {
	select {
	case <-done:
	case <-time.After(most):
	}
}

// endLine has what follows on a terminal begin on a line of its own.
func endLine(w io.Writer) {
	if isTerminal(w) {
		fmt.Fprintln(w)
	}
}

func (l *logTail) run(lines int, leave <-chan struct{}) error {
	defer l.close()
	if err := l.last(lines); err != nil {
		return err
	}
	if err := l.follow(leave); err != nil {
		return err
	}
	<-leave // without a log there is still the console
	return l.flush()
}

// typist sends lines to the console of a daemon.
type typist struct {
	process  *detach.Process
	patience time.Duration // for a line to be read
	stderr   io.Writer
	failed   atomic.Bool
}

// run sends each line of the input, until its end or that of the daemon.
func (y *typist) run(ctx context.Context, stdin io.Reader) {
	in := bufio.NewReaderSize(stdin, longestTyped)
	for {
		line, err := in.ReadSlice('\n')
		tooLong := err == bufio.ErrBufferFull
		for err == bufio.ErrBufferFull { // the rest of it
			_, err = in.ReadSlice('\n')
		}
		var failure error
		switch {
		case tooLong:
			failure = y.say(&detach.Error{Op: "send to", Path: strconv.Itoa(y.process.PID), Err: syscall.EMSGSIZE})
		case len(line) > 0:
			failure = y.send(ctx, line)
		}
		if err == nil && !errors.Is(failure, detach.ErrExited) {
			continue
		}
		if err != nil && err != io.EOF {
			y.say(fmt.Errorf("detach: read standard input: %w", underlying(err)))
		}
		return
	}
}

func (y *typist) send(ctx context.Context, line []byte) error {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	limited, cancel := context.WithTimeout(ctx, y.patience)
	defer cancel()
	err := y.process.Send(limited, string(line))
	if err == nil || ctx.Err() != nil {
		return nil
	}
	return y.say(err)
}

func (y *typist) say(err error) error {
	y.failed.Store(true)
	report(y.stderr, err)
	return err
}

func (y *typist) status() int {
	if y.failed.Load() {
		return statusFailed
	}
	return 0
}
