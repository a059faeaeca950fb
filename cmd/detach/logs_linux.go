package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
)

// statusNoLog says that there is nothing to print.
const statusNoLog = 1

// showLogs prints the logs of a daemon; the process is nil if it has ended.
func showLogs(t target, p *detach.Process, r detach.Record, lines int, follow bool, stdout, stderr io.Writer) (status int) {
	tail := newLogTail(r, stdout, func(path string, err error) {
		report(stderr, &detach.Error{Op: "logs", Path: path, Err: underlying(err)})
		if p != nil && errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(stderr, "hint: if it was removed, the daemon goes on writing to it: ls -l /proc/%d/fd\n", p.PID)
		}
	})
	if tail == nil {
		report(stderr, &detach.Error{Op: "logs", Path: t.text, Err: detach.ErrNoLog})
		return statusNoLog
	}
	defer tail.close()
	if err := tail.checkOutput(); err != nil {
		report(stderr, err)
		return statusFailed
	}
	err := tail.last(lines)
	if err == nil && follow && p != nil {
		err = tail.follow(ended(p))
	}
	if err == nil {
		err = tail.flush()
	}
	if err != nil {
		report(stderr, outputFailed(err))
		return statusFailed
	}
	return tail.status()
}

// ended is closed when the daemon has ended. How it did is not asked, which can
// take a while longer.
func ended(p *detach.Process) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fds := []unix.PollFd{{Fd: int32(p.PIDFD()), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(fds, -1); err != unix.EINTR {
				return
			}
		}
	}()
	return done
}
