//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// A checkup is one check of one launcher.
type checkup struct {
	launcher launcher
	check    check
	dir      string // for the nests, with a number added; they do not exist yet
	timeout  time.Duration
}

// run returns the verdict. An error is one of detachtest itself.
func (c checkup) run(ctx context.Context) (v verdict, err error) {
	v = verdict{Launcher: c.launcher.name, Check: c.check.name}
	if c.launcher.manager && c.check.hidden != "" {
		v.Outcome, v.Why = notRun, c.check.hidden
		return v, nil
	}
	stagings := c.check.stagings
	if len(stagings) == 0 {
		stagings = []staging{{}}
	}
	for i, set := range stagings {
		f, err := c.examine(ctx, set, fmt.Sprintf("%s-%d", c.dir, i+1), &v)
		if failure, ok := errors.AsType[*launchError](err); ok {
			v.Outcome, v.Why = launchFailed, "launch failed: "+failure.Error()
			return v, nil
		}
		if err != nil {
			return v, fmt.Errorf("%s, %s: %w", v.Launcher, v.Check, err)
		}
		v.Outcome = f.outcome
		if f.outcome != good {
			v.Why = f.words
			return v, nil
		}
		v.Found = f.words
	}
	return v, nil
}

// examine sets one stage and examines it.
func (c checkup) examine(ctx context.Context, set staging, dir string, v *verdict) (f finding, err error) {
	// See raise. The thread must last as long as the manager.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	n, err := newNest(dir)
	if err != nil {
		return finding{}, err
	}
	s, err := raise(n, c.launcher, set)
	defer func() { err = errors.Join(err, s.tearDown()) }()
	if err == nil && set.target == "" {
		v.Birth, err = s.launch(ctx, c.timeout)
	}
	if err != nil {
		return finding{}, err
	}
	return c.check.examine(ctx, s, v.Birth)
}
