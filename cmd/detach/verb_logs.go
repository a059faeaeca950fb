package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/detachkit/detach/detach"
)

const logsUsage = `Usage: detach logs [flags] TARGET

Print the last lines of a daemon's logs, of one that has ended too. If standard
output and error go to two files, each line begins with "out: " or "err: ".
TARGET is a PID file, a record, a PID, or an identity as --json prints it.

  -n, --lines N        so many lines of each log (default: 10), or all of them
  -f, --follow         go on with what is written, until the daemon has ended;
                       Ctrl-C ends it before that
  -h, --help           print this text

The logs are followed by their names, across rotation. What is in them is
printed as it is, as tail(1) does, the control sequences of terminals included.

Exit status:
  0    the logs were printed, and the daemon has ended if they were followed
  1    it has no log file, or the file is not there
  3    the daemon is not running, and left no record
  125  a log could not be read, detach failed, or was misused

Example:
  detach logs -f -n 100 server.pid
`

const defaultLines = 10

func runLogs(args []string, stdout, stderr io.Writer) (status int) {
	lines := defaultLines
	var follow bool
	flags := newFlags("detach logs")
	flags.value(func(s string) (err error) {
		lines, err = parseLines(s)
		return err
	}, "n", "lines")
	flags.toggle(&follow, "f", "follow")
	if status, over := flags.begin(args, logsUsage, stdout, stderr); over {
		return status
	}
	t, err := parseOneTarget(flags.Args(), "detach logs [flags] TARGET")
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	p, record, err := t.logged(stderr)
	if err != nil {
		return t.complain(stderr, err)
	}
	if p != nil {
		defer p.Close()
	}
	return showLogs(t, p, record, lines, follow, stdout, stderr)
}

// allLines is how many lines "all" is.
const allLines = -1

func parseLines(s string) (int, error) {
	if s == "all" {
		return allLines, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, errors.New("is neither a number of lines nor all")
	}
	return n, nil
}

// parseOneTarget is parseTargets for a verb that takes one.
func parseOneTarget(args []string, usage string) (target, error) {
	targets, err := parseTargets(args, usage)
	if err != nil {
		return target{}, err
	}
	if len(targets) > 1 {
		return target{}, &usageError{"more than one target", usage}
	}
	return targets[0], nil
}

// logged finds a daemon and what is known of its logs. The process is nil if it
// has ended.
func (t target) logged(stderr io.Writer) (*detach.Process, detach.Record, error) {
	p, err := t.open()
	if errors.Is(err, detach.ErrExited) && t.named() {
		if r, err := detach.ReadRecord(t.text); err == nil {
			return nil, r, nil
		}
	}
	if err != nil {
		return nil, detach.Record{}, err
	}
	if t.named() && p.Record.Version == 0 {
		fmt.Fprintf(stderr, "detach: warning: logs %s: %v\n", quoteOdd(t.text), detach.ErrNoRecord)
		p.Close()
		if p, err = detach.Find(p.PID); err != nil {
			return nil, detach.Record{}, err
		}
	}
	return p, p.Record, nil
}
