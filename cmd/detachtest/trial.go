//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"
)

// A trial is one launch by one launcher and one death.
type trial struct {
	launcher launcher
	death    death
	dir      string // for the nest; it does not exist yet
	timeout  time.Duration
}

// run returns the verdict. An error is one of detachtest itself.
func (t trial) run(ctx context.Context) (v verdict, err error) {
	v = verdict{Launcher: t.launcher.name, Death: t.death.name}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s under %s: %w", v.Launcher, v.Death, err)
		}
	}()
	if reason := t.impossible(); reason != "" {
		v.Outcome, v.Why = notRun, reason
		return v, nil
	}
	// See raise. The thread must last as long as the manager.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	n, err := newNest(t.dir)
	if err != nil {
		return v, err
	}
	s, err := raise(n, t.launcher, t.death.staging())
	defer func() { err = errors.Join(err, s.tearDown()) }()
	if err == nil {
		v.Birth, err = s.launch(ctx, t.timeout)
	}
	if failure, ok := errors.AsType[*launchError](err); ok {
		v.Outcome, v.Why = launchFailed, "launch failed: "+failure.Error()
		if t.death.certain {
			v.Outcome = notRun // which is as well: there is nothing to survive
		}
		return v, nil
	}
	if impossible, ok := errors.AsType[*notStaged](err); ok {
		v.Outcome, v.Why = notRun, impossible.reason
		return v, nil
	}
	if err != nil {
		return v, err
	}
	return v, t.judge(ctx, s, &v)
}

// A notStaged error says why a death could not be staged after all. It is a
// result, not a failure of detachtest.
type notStaged struct{ reason string }

func (e *notStaged) Error() string { return e.reason }

// impossible says why the death cannot be staged, "" if it can.
func (t trial) impossible() string {
	switch {
	case t.launcher.manager && t.death.ownOnly != "":
		return t.death.ownOnly
	case t.death.lacks != nil:
		return t.death.lacks()
	}
	return ""
}

// judge deals the death and sees what becomes of the probe.
func (t trial) judge(ctx context.Context, s *stage, v *verdict) error {
	since, blow := time.Now(), t.death.blow
	if err := t.death.deal(ctx, s); err != nil {
		return err
	}
	if blow == "" {
		var err error
		if v.Note, err = t.outlive(ctx, s); err != nil {
			return err
		}
		since, blow = s.manager.at, "the manager"
	}
	var err error
	if v.Outcome, err = s.watch(ctx); err != nil {
		return err
	}
	switch v.Outcome {
	case died:
		v.Signal, v.Why, err = s.causeOfDeath(since, blow, t.death.by)
	case frozen:
		v.Why = fmt.Sprintf("frozen: it lives, but has not got a line written to %s for %v", s.nest.output(), frozenAfter)
	}
	if err != nil || !t.death.certain {
		return err
	}
	if v.Outcome != died {
		return errBlind
	}
	v.Outcome, v.Why = doomed, v.Why+", as everything does"
	return nil
}

// outlive waits for the manager to die, and helps where it does not.
func (t trial) outlive(ctx context.Context, s *stage) (note string, err error) {
	select {
	case <-s.manager.ended:
		return "", nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-time.After(t.timeout):
	}
	return fmt.Sprintf("the manager did not end of it in %v, and was killed", t.timeout), s.manager.kill()
}

// nestDir names the nest of a trial or check in a way that a person can follow.
func nestDir(base string, column int, name string) string {
	return filepath.Join(base, fmt.Sprintf("%d-%s", column+1, name))
}
