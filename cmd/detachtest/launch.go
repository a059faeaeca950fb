//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A launchError says why a launcher has not launched a probe. It is a result,
// not a failure of detachtest.
type launchError struct {
	cause string
	said  string // what the launcher or the manager wrote
}

func (e *launchError) Error() string {
	if e.said == "" {
		return e.cause
	}
	return e.cause + ": " + strings.ReplaceAll(strings.TrimSpace(e.said), "\n", " | ")
}

// settledBeats is after how many beats of the probe a launcher that is still
// there is taken for one that stays, as nohup does: a second.
const settledBeats = int(time.Second / beatInterval)

// launch waits until the probe is there and its launcher has come to rest:
// it has ended, has become the probe, or seems to stay. Before, the probe
// might still be a descendant of the manager only because nobody had the time
// to detach it.
func (s *stage) launch(ctx context.Context, timeout time.Duration) (*birth, error) {
	born := make(chan *birth, 1)
	bornError := make(chan error, 1)
	go func() {
		b, err := s.nest.awaitBirth()
		if err != nil {
			bornError <- err
			return
		}
		born <- b
	}()
	deadline := time.After(timeout)
	tick := time.NewTicker(beatInterval / 2)
	defer tick.Stop()

	var b *birth
	var err error
	remarks := s.remarks
	rested := false
	for {
		if b != nil && (rested || b.PID == s.launcher || s.nest.beats() >= settledBeats) && s.nest.beats() > 0 {
			return b, nil
		}
		var probeEnded <-chan struct{}
		if s.probe != nil {
			probeEnded = s.probe.ended
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-deadline:
			return nil, s.absent(b, timeout)
		case err := <-bornError:
			return nil, err
		case b = <-born:
			s.bornAt = time.Now()
			if s.probe, err = s.holdProbe(b.identity()); err != nil {
				return nil, err
			}
		case r, ok := <-remarks:
			switch {
			case !ok:
				remarks = nil // the manager has ended
			case r.Launched != 0:
				s.launcher = r.Launched
			case r.Failed != "":
				return nil, &launchError{cause: r.Failed}
			case r.Killed:
				return nil, &launchError{"the launcher was killed by a signal", r.Stderr}
			case r.Exited != nil && *r.Exited != 0:
				return nil, &launchError{fmt.Sprintf("the launcher exited with status %d", *r.Exited), r.Stderr}
			case r.Exited != nil:
				rested, s.restedAt = true, time.Now()
			}
		case <-s.manager.ended:
			return nil, s.managerEnded(remarks)
		case <-probeEnded:
			return nil, &launchError{cause: fmt.Sprintf("the probe %s before anybody harmed its manager", s.probe.fate())}
		case <-tick.C:
		}
	}
}

// holdProbe takes hold of the probe that has told its identity.
func (s *stage) holdProbe(id identity) (*process, error) {
	if s.contained {
		if probe, err := s.holdInside(id); err == nil {
			return probe, nil
		}
	}
	probe, err := hold(id)
	if err != nil {
		return nil, &launchError{cause: "the probe ended at once, or is in another PID namespace"}
	}
	if s.contained {
		err = &notStaged{"the launcher has the probe started outside the container, by somebody that a real one does not let it talk to"}
		return nil, errors.Join(err, probe.kill())
	}
	return probe, nil
}

// absent says that no probe has come to life in time.
func (s *stage) absent(b *birth, timeout time.Duration) error {
	if b != nil {
		return &launchError{cause: fmt.Sprintf("the probe did not beat in %v: its output is stuck", timeout)}
	}
	e := &launchError{fmt.Sprintf("no probe in %v", timeout), s.output()}
	if s.socket != nil {
		if r, err := s.order(orderOutput, remark.isOutput); err == nil {
			e.said = r.Stderr
		}
	}
	return e
}

// managerEnded says why the manager ended before its time. The reason may
// still be on its way.
func (s *stage) managerEnded(remarks <-chan remark) error {
	for remarks != nil {
		r, ok := <-remarks
		if !ok {
			break
		}
		if r.Failed != "" {
			return &launchError{cause: r.Failed}
		}
	}
	e := &launchError{fmt.Sprintf("the manager %s before anybody harmed it", s.manager.fate()), s.output()}
	if s.socket != nil {
		return errors.New(e.Error()) // detachtest's own
	}
	return e
}
