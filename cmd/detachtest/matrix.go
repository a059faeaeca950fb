//go:build linux

package main

import (
	"context"
	"errors"
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
	// verdicts are in the order of launchers, and of deaths within each.
	verdicts []verdict
	// findings are the verdicts of the checks, in the order of launchers, and
	// of checks within each.
	findings []verdict
	// controls are the verdicts on the tester itself, one a launcher.
	controls []verdict
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
	try := func(run func(context.Context) (verdict, error)) verdict {
		places <- struct{}{}
		defer func() { <-places }()
		if ctx.Err() != nil {
			return verdict{}
		}
		v, err := run(ctx)
		if err != nil {
			cancel(err)
		}
		return v
	}
	var all sync.WaitGroup
	for column, l := range m.launchers {
		staged := func(d death) verdict {
			return try(trial{l, d, nestDir(base, column, d.name), timeout}.run)
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
				}
			}
			for row, c := range m.checks {
				cell := &m.findings[column*len(m.checks)+row]
				switch v.Outcome {
				case died:
					all.Go(func() { *cell = try(checkup{l, c, nestDir(base, column, c.name), timeout}.run) })
				default:
					*cell = v
					cell.Death, cell.Check = "", c.name
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

// clean tells whether nothing was found bad.
func (m *matrix) clean() bool {
	for _, v := range m.findings {
		if v.Outcome != good && v.Outcome != notRun {
			return false
		}
	}
	return true
}

// survived tells whether the probe survived every death that could be staged.
func (m *matrix) survived() bool {
	for _, v := range m.verdicts {
		if v.Outcome != survived && v.Outcome != notRun {
			return false
		}
	}
	return true
}
