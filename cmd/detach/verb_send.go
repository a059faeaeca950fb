package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/detachkit/detach/detach"
)

const sendUsage = `Usage: detach send [flags] TARGET LINE

Write LINE to the console of a daemon, as if it were typed there, and wait until
the daemon has read it. The daemon was started with --console. TARGET is a PID
file, a record, a PID, or an identity as --json prints it.

      --timeout TIME   wait no longer for it to be read, such as 1m (default:
                       10s)
  -h, --help           print this text

A LINE is at most 4,095 bytes: so those of two managers do not mix.

Exit status:
  0    the daemon has read it
  3    the daemon is not running
  124  it has not been read in time: it waits in the console, or nothing was
       written because the console is full, as the message says
  125  there is no console, detach failed, was misused or interrupted

Example:
  detach send server.pid 'say hello'
`

func runSend(args []string, stdout, stderr io.Writer) (status int) {
	timeout := 10 * time.Second
	flags := newFlags("detach send")
	flags.duration(&timeout, "", "timeout")
	if status, over := flags.begin(args, sendUsage, stdout, stderr); over {
		return status
	}
	if flags.NArg() != 2 {
		report(stderr, &usageError{"send takes a target and one line", "detach send TARGET 'say hello'"})
		return statusFailed
	}
	t, err := parseTarget(flags.Arg(0))
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	ctx, cancel := interruptible()
	defer cancel()
	ctx, cancelTimeout := context.WithTimeout(ctx, timeout)
	defer cancelTimeout()
	err = t.send(ctx, flags.Arg(1))
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		report(stderr, err)
		return statusFailed
	case errors.Is(err, detach.ErrNotRead):
		report(stderr, err)
		return statusTimeout
	}
	return t.complain(stderr, err)
}

func (t target) send(ctx context.Context, line string) error {
	p, err := t.open()
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Send(ctx, line)
}
