//go:build linux

package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// sideBySide is how many trials run at once. They cannot disturb each other,
// each having a session of its own; but a machine that is too busy makes all
// of them slow.
const sideBySide = 4

// A matrix is all launchers against all deaths.
type matrix struct {
	launchers []launcher
	deaths    []death
	checks    []check
	// require: a row that was not run is a failure.
	require bool
	// verdicts are in the order of launchers, and of deaths within each.
	verdicts []verdict
	// findings are the verdicts of the checks, in the order of launchers, and
	// of checks within each.
	findings []verdict
	// controls are the verdicts on the tester itself, one a launcher.
	controls []verdict
	// progress, if not nil, is told of each trial.
	progress *progress
}

// errBlind says that a dead probe was taken for a living one.
var errBlind = errors.New("the probe was killed and is not seen dead: detachtest cannot be trusted here")

// run fills in the verdicts. An error is one of detachtest itself. It leaves
// nothing behind: no process, and not the folder base.
func (m *matrix) run(ctx context.Context, base string, timeout time.Duration) (err error) {
	leave, err := enter(base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()

	// The first error ends all trials.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.controls = make([]verdict, len(m.launchers))
	m.verdicts = make([]verdict, len(m.launchers)*len(m.deaths))
	m.findings = make([]verdict, len(m.launchers)*len(m.checks))
	places := make(chan struct{}, sideBySide)
	try := func(column int, row string, run func(context.Context) (verdict, error)) verdict {
		places <- struct{}{}
		defer func() { <-places }()
		if ctx.Err() != nil {
			return verdict{}
		}
		began := time.Now()
		m.progress.begun(column, row)
		v, err := run(ctx)
		if err != nil {
			cancel(err)
		}
		v.Seconds = time.Since(began).Seconds()
		m.progress.ended(column, row, v)
		return v
	}
	var all sync.WaitGroup
	for column, l := range m.launchers {
		staged := func(d death) verdict {
			return try(column, d.name, trial{l, d, nestDir(base, column, d.name), timeout}.run)
		}
		all.Go(func() {
			v := staged(control)
			m.controls[column] = v
			for row, d := range m.deaths {
				cell := &m.verdicts[column*len(m.deaths)+row]
				switch v.Outcome {
				case died:
					all.Go(func() { *cell = staged(d) })
				default:
					// A launcher that launches nothing would only take its
					// time over doing so again.
					*cell = v
					cell.Death = d.name
					m.progress.ended(column, d.name, *cell)
				}
			}
			for row, c := range m.checks {
				cell := &m.findings[column*len(m.checks)+row]
				switch v.Outcome {
				case died:
					all.Go(func() {
						*cell = try(column, c.name, checkup{l, c, nestDir(base, column, c.name), timeout}.run)
					})
				default:
					*cell = v
					cell.Death, cell.Check = "", c.name
					m.progress.ended(column, c.name, *cell)
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

// finding returns the verdict of a check on a launcher.
func (m *matrix) finding(column, row int) verdict {
	return m.findings[column*len(m.checks)+row]
}

// clean tells whether no check found anything bad.
func (m *matrix) clean() bool { return !slices.ContainsFunc(m.findings, m.fails) }

// survived tells whether the probe survived every death that could be staged,
// or every one at all where that is required, but for those that nothing can.
func (m *matrix) survived() bool { return !slices.ContainsFunc(m.verdicts, m.fails) }

func (m *matrix) fails(v verdict) bool { return v.fails() || m.require && v.Outcome == notRun }
