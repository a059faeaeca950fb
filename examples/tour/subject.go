//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
)

// subject is a server as the tour sees it.
type subject struct {
	process *detach.Process // whoever has started it
	log     string
	url     string
	last    answer // to the last visit
}

// beatsSeen is how many lines more have to be seen in a log that grows.
const beatsSeen = 3

var errEnded = errors.New("it has ended")

func (s *subject) pid() int { return s.process.PID }

// greet waits until the server listens and its log grows, and visits it for the
// first time.
func (s *subject) greet(ctx context.Context) error {
	if _, err := s.awaitLogLines(ctx, 1+beatsSeen); err != nil {
		return err
	}
	data, err := os.ReadFile(s.log)
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	url, ok := strings.CutPrefix(line, listening)
	if !ok {
		return fmt.Errorf("its log begins with %q", line)
	}
	s.url = url
	if err := s.visit(ctx); err != nil {
		return err
	}
	if s.last.PID != s.pid() {
		return fmt.Errorf("its PID file says %d, but it is process %d", s.pid(), s.last.PID)
	}
	return nil
}

// visit asks the server and keeps its answer.
func (s *subject) visit(ctx context.Context) (err error) {
	s.last, err = visit(ctx, s.url)
	return err
}

func (s *subject) logLines() (int, error) {
	data, err := os.ReadFile(s.log)
	return bytes.Count(data, []byte("\n")), err
}

// awaitLogLines waits until the log has as many lines, or the server has
// ended. It returns how many there are.
func (s *subject) awaitLogLines(ctx context.Context, atLeast int) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if _, err := s.process.Wait(ctx); err == nil {
			cancel(errEnded)
		}
	}()
	for {
		lines, err := s.logLines()
		if err != nil || lines >= atLeast {
			return lines, err
		}
		select {
		case <-ctx.Done():
			return lines, context.Cause(ctx)
		case <-time.After(beat / 10): // nothing announces a line
		}
	}
}

// lastWords returns the last line of the log.
func (s *subject) lastWords() (string, error) {
	data, err := os.ReadFile(s.log)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1], err
}

// end kills the server if it still runs. The plain child has no record, but its
// PID file was written under the tour's eyes: the pidfd is of that process.
func (s *subject) end() error {
	defer s.process.Close()
	err := s.process.Kill(context.Background())
	if !errors.Is(err, detach.ErrNoRecord) {
		return err
	}
	if err := unix.PidfdSendSignal(s.process.PIDFD(), unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return err
	}
	_, err = s.process.Wait(context.Background())
	return err
}
