//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sideBySide is how many trials run at once. They cannot disturb each other,
// each having a session of its own; but a machine that is too busy makes all
// of them slow.
const sideBySide = 4

// A matrix is all launchers against all deaths.
type matrix struct {
	launchers []launcher
	deaths    []death
	// require: a death that could not be staged was not survived.
	require bool
	// verdicts are in the order of launchers, and of deaths within each.
	verdicts []verdict
	// controls are the verdicts on the tester itself, one a launcher.
	controls []verdict
	// progress, if not nil, is told of each trial.
	progress *progress
}

// errBlind says that a dead probe was taken for a living one.
var errBlind = errors.New("the probe was killed and is not seen dead: detachtest cannot be trusted here")

// run fills in the verdicts. An error is one of detachtest itself. It leaves
// nothing behind: no process and no file.
func (m *matrix) run(ctx context.Context, timeout time.Duration) (err error) {
	base, err := os.MkdirTemp("", "detachtest-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	alive, err := lockAlive(filepath.Join(base, aliveFile))
	if err != nil {
		return err
	}
	defer func() { _ = alive.Close() }()
	sweep, err := adoptOrphans()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sweep()) }()

	// The first error ends all trials.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.controls = make([]verdict, len(m.launchers))
	m.verdicts = make([]verdict, len(m.launchers)*len(m.deaths))
	places := make(chan struct{}, sideBySide)
	try := func(column int, d death) verdict {
		places <- struct{}{}
		defer func() { <-places }()
		if ctx.Err() != nil {
			return verdict{}
		}
		began := time.Now()
		m.progress.begun(column, d.name)
		v, err := trial{m.launchers[column], d, nestDir(base, column, d), timeout}.run(ctx)
		if err != nil {
			cancel(err)
		}
		v.Seconds = time.Since(began).Seconds()
		m.progress.ended(column, d.name, v)
		return v
	}
	var all sync.WaitGroup
	for column := range m.launchers {
		all.Go(func() {
			v := try(column, control)
			m.controls[column] = v
			for row, d := range m.deaths {
				cell := &m.verdicts[column*len(m.deaths)+row]
				switch v.Outcome {
				case died:
					all.Go(func() { *cell = try(column, d) })
				default:
					// A launcher that launches nothing would only take its
					// time over doing so again.
					*cell = v
					cell.Death = d.name
					m.progress.ended(column, d.name, *cell)
				}
			}
			if v.Outcome == survived || v.Outcome == frozen {
				cancel(errBlind)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// verdict returns the one on a launcher under a death.
func (m *matrix) verdict(column, row int) verdict {
	return m.verdicts[column*len(m.deaths)+row]
}

// survived tells whether the probe survived every death that could be staged,
// or every one at all where that is required, but for those that nothing can.
func (m *matrix) survived() bool {
	for _, v := range m.verdicts {
		if v.fails() || m.require && v.Outcome == notRun {
			return false
		}
	}
	return true
}

// lockAlive makes the file by which probes see that detachtest still lives.
func lockAlive(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return file, nil
}
