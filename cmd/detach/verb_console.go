package main

import (
	"io"

	"github.com/detachkit/detach/detach"
)

const consoleUsage = `Usage: detach console [flags] TARGET

Print the last lines of a daemon's logs and what is written to them, and send
each line of standard input to its console. The daemon was started with
--console. TARGET is a PID file, a record, a PID, or an identity as --json
prints it.

  -n, --lines N        so many lines of each log first (default: 10), or all
  -h, --help           print this text

Ctrl-C and Ctrl-D leave the console; the daemon goes on. To stop it, type the
command that it knows, or use detach stop. It ends with the daemon, too. If
standard input is no terminal, half a second is left for the last answer.

A line that the daemon does not read within 5 seconds is an error, and so is one
of more than 4,095 bytes; then the console goes on with the next.

Exit status:
  0    the console was left, or the daemon has ended
  3    the daemon is not running
  125  there is no console, a line was not sent, detach failed, or was misused

Example:
  detach console server.pid
`

func runConsole(args []string, stdout, stderr io.Writer) (status int) {
	lines := defaultLines
	flags := newFlags("detach console")
	flags.value(func(s string) (err error) {
		lines, err = parseLines(s)
		return err
	}, "n", "lines")
	if status, over := flags.begin(args, consoleUsage, stdout, stderr); over {
		return status
	}
	t, err := parseOneTarget(flags.Args(), "detach console [flags] TARGET")
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	p, err := t.open()
	if err != nil {
		return t.complain(stderr, err)
	}
	defer p.Close()
	switch {
	case p.Record.Version == 0 && t.named():
		err = detach.ErrNoRecord
	case p.Record.Console == "":
		err = detach.ErrNoConsole
	}
	if err != nil {
		report(stderr, &detach.Error{Op: "console", Path: t.text, Err: err})
		return statusFailed
	}
	return attach(t, p, lines, stdout, stderr)
}
