//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A stress is many launches whose manager is killed in the middle, at moments
// that nobody has chosen.
type stress struct {
	launchers []launcher
	launches  int // by each launcher
	seed      uint64
	timeout   time.Duration
	results   []stressResult // in the order of launchers
}

// A stressResult is what the launches of one launcher came to.
type stressResult struct {
	Launcher string `json:"launcher"`
	// Failed says why nothing could be tried: the launcher does not launch, or
	// writes no proper PID file, when nobody disturbs it.
	Failed string `json:"failed,omitempty"`
	// Window is the time within which the manager was killed, from the moment
	// that it ran the launcher (or was itself started, where it is the user's
	// own): half as long again as an undisturbed launch takes.
	Window    time.Duration `json:"window_ns"`
	Whole     int           `json:"whole"`   // the program runs, and its PID file names it
	Nothing   int           `json:"nothing"` // neither a process nor a PID file
	Incidents []incident    `json:"incidents"`
}

// An incident is a launch that left something half done.
type incident struct {
	Launch int           `json:"launch"`
	Kind   incidentKind  `json:"kind"`
	Group  bool          `json:"group"` // the manager's whole group was killed, not it alone
	After  time.Duration `json:"after_ns"`
	What   string        `json:"what"` // a sentence
}

// An incidentKind is a way of being neither started nor not.
type incidentKind string

const (
	lost        incidentKind = "lost"         // a process without a PID file
	stale       incidentKind = "stale"        // a PID file without a process
	halfStarted incidentKind = "half-started" // not detached, or not the program yet, and not about to be
)

var incidentKinds = []incidentKind{lost, stale, halfStarted}

// A blow is when and how a manager is killed.
type blow struct {
	at    float64 // part of the window
	group bool    // its whole group, with the launcher in it, and not it alone
}

// plan returns the blows for a launcher. The same seed gives the same ones.
func (s *stress) plan(column int) []blow {
	random := rand.New(rand.NewPCG(s.seed, uint64(column)))
	blows := make([]blow, s.launches)
	for i := range blows {
		blows[i] = blow{at: random.Float64(), group: random.IntN(2) == 0}
	}
	return blows
}

// run fills in the results. An error is one of detachtest itself. It leaves
// nothing behind: no process, and not the folder base.
func (s *stress) run(ctx context.Context, base string) (err error) {
	leave, err := enter(base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	for column, l := range s.launchers {
		r, err := s.try(ctx, base, column)
		if err != nil {
			return fmt.Errorf("%s under stress: %w", l.name, err)
		}
		s.results = append(s.results, r)
	}
	return nil
}

// clean tells whether no launch left anything half done.
func (s *stress) clean() bool {
	return !slices.ContainsFunc(s.results, func(r stressResult) bool { return r.Failed != "" || len(r.Incidents) > 0 })
}

// try puts one launcher to the stress.
func (s *stress) try(ctx context.Context, base string, column int) (stressResult, error) {
	l := s.launchers[column]
	r := stressResult{Launcher: l.name, Incidents: []incident{}}
	nest := func(n int) string { return nestDir(base, column, fmt.Sprintf("stress-%d", n)) }

	// As many at once as there will be, which makes them slower.
	calm := make([]calmLaunch, sideBySide)
	err := inParallel(ctx, len(calm), func(ctx context.Context, i int) (err error) {
		calm[i], err = launchCalmly(ctx, nest(-i), l, s.timeout)
		return err
	})
	if failure, ok := errors.AsType[*launchError](err); ok {
		r.Failed = "launch failed: " + failure.Error()
		return r, nil
	}
	if err != nil {
		return r, err
	}
	writesPIDFile := calm[0].pidFile
	for _, c := range calm {
		r.Window = max(r.Window, c.took*3/2)
		writesPIDFile = writesPIDFile && c.pidFile
	}
	if !writesPIDFile && l.namesPIDFile() {
		r.Failed = "undisturbed, it does not leave a PID file that names the program"
		return r, nil
	}

	blows := s.plan(column)
	ends := make([]end, len(blows))
	err = inParallel(ctx, len(blows), func(ctx context.Context, i int) (err error) {
		ends[i], err = disturb(ctx, nest(i+1), l, blows[i], r.Window)
		return err
	})
	for i, e := range ends {
		kind, what := e.judge(writesPIDFile)
		switch {
		case kind != "":
			r.Incidents = append(r.Incidents, incident{i + 1, kind, blows[i].group, e.after, what})
		case e.probe != nil:
			r.Whole++
		default:
			r.Nothing++
		}
	}
	return r, err
}

// inParallel does something n times, a few at once. The first error ends it.
func inParallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var all sync.WaitGroup
	for range min(n, sideBySide) {
		all.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					continue
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	return context.Cause(ctx)
}

// A calmLaunch is one that nobody disturbed.
type calmLaunch struct {
	took    time.Duration // until the launcher had ended or, where it stays, the probe was born
	pidFile bool          // there is a PID file that names the probe
}

// stressed is how the stage is set: all that was started is found below the
// leader of the session.
var stressed = staging{adopts: true, waits: true}

func launchCalmly(ctx context.Context, dir string, l launcher, timeout time.Duration) (c calmLaunch, err error) {
	// See raise. The thread must last as long as the manager.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, begun, err := raiseAndBegin(dir, l)
	defer func() { err = errors.Join(err, s.tearDown()) }()
	if err != nil {
		return c, err
	}
	b, err := s.launch(ctx, timeout)
	if err != nil {
		return c, err
	}
	if c.took = s.restedAt.Sub(begun); s.restedAt.IsZero() {
		c.took = s.bornAt.Sub(begun)
	}
	named, _, err := s.nest.readPIDFile()
	c.pidFile = named == b.PID
	return c, err
}

// raiseAndBegin raises a stage and has its manager begin with the launch. It
// must be torn down.
func raiseAndBegin(dir string, l launcher) (s *stage, begun time.Time, err error) {
	n, err := newNest(dir)
	if err != nil {
		return &stage{nest: n}, begun, err
	}
	if s, err = raise(n, l, stressed); err != nil || s.socket == nil {
		return s, time.Now(), err
	}
	if _, err := s.order(orderLaunch, func(r remark) bool { return r.Ready }); err != nil {
		return s, begun, err
	}
	return s, time.Now(), nil
}

// An end is what a launch came to whose manager was killed.
type end struct {
	after   time.Duration // when the manager was killed
	leader  int           // whose session the manager was in
	probe   *stat         // nil where it does not live
	others  []stat        // what lives besides it
	pidFile bool          // there is one
	named   int           // by the PID file, 0 for nobody
}

func disturb(ctx context.Context, dir string, l launcher, b blow, window time.Duration) (e end, err error) {
	// See raise. The thread must last as long as the manager.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, begun, err := raiseAndBegin(dir, l)
	defer func() { err = errors.Join(err, s.endAll(), s.tearDown()) }()
	if err != nil {
		return e, err
	}
	time.Sleep(time.Until(begun.Add(time.Duration(b.at * float64(window)))))
	if e.after = time.Since(begun); b.group {
		err = s.signalGroup(unix.SIGKILL)
	} else {
		err = s.manager.signal(unix.SIGKILL)
	}
	if err == nil {
		err = s.manager.awaitKill()
	}
	if err != nil {
		return e, err
	}
	e.leader = s.leader.pid
	_, err = await(ctx, steadily(func() (bool, error) { return s.hasSettled(&e) }))
	if err == nil {
		e.named, e.pidFile, err = s.nest.readPIDFile()
	}
	return e, err
}

// hasSettled notes what lives, and tells whether that is what will: nothing, or
// the probe alone, or the probe and a launcher that seems to stay.
func (s *stage) hasSettled(e *end) (bool, error) {
	all, err := descendants(s.leader.pid)
	if err != nil {
		return false, err
	}
	// Read after the processes: a birth that is there is that of one of them,
	// or of one that is dead.
	b, err := s.nest.readBirth()
	if err != nil {
		return false, err
	}
	e.probe, e.others = nil, nil
	for _, p := range all {
		if b != nil && p.identity == b.identity() {
			e.probe = &p
		} else if p.pid != s.manager.pid {
			e.others = append(e.others, p)
		}
	}
	beats := s.nest.beats()
	switch {
	case e.probe == nil:
		return len(e.others) == 0, nil
	case len(e.others) == 0:
		return beats >= survivalBeats, nil
	default:
		return beats >= settledBeats, nil
	}
}

// endAll ends all that was started below the leader.
func (s *stage) endAll() error {
	if s.leader == nil {
		return nil
	}
	for {
		below, err := descendants(s.leader.pid)
		if err != nil || len(below) == 0 {
			return err
		}
		if err := killAll(below); err != nil {
			return err
		}
	}
}

// judge tells what was left half done, or nothing. withPIDFile tells whether
// the launcher writes a PID file.
func (e end) judge(withPIDFile bool) (incidentKind, string) {
	switch {
	case e.probe != nil && e.probe.session == e.leader:
		return halfStarted, fmt.Sprintf("the program runs (PID %d), still in the manager's session", e.probe.pid)
	case e.probe == nil && len(e.others) > 0:
		return halfStarted, "left and not the program: " + describe(e.others)
	case e.probe != nil && withPIDFile && !e.pidFile:
		return lost, fmt.Sprintf("the program runs (PID %d), and there is no PID file", e.probe.pid)
	case e.probe != nil && withPIDFile && e.named != e.probe.pid:
		return lost, fmt.Sprintf("the program runs (PID %d), and the PID file names %d", e.probe.pid, e.named)
	case e.probe == nil && e.pidFile && e.named == 0:
		return stale, "nothing runs, and there is a PID file that names nobody"
	case e.probe == nil && e.pidFile:
		return stale, fmt.Sprintf("nothing runs, and the PID file names %d", e.named)
	}
	return "", ""
}

// namesPIDFile tells whether the launcher is told which PID file to write.
func (l launcher) namesPIDFile() bool {
	return !l.manager && slices.ContainsFunc(l.words, func(word string) bool { return strings.Contains(word, "{pidfile}") })
}

// readPIDFile returns whom the PID file names, 0 for nobody, and whether there
// is one.
func (n *nest) readPIDFile() (pid int, exists bool, err error) {
	data, err := os.ReadFile(n.path(pidFile))
	if os.IsNotExist(err) {
		return 0, false, nil
	}
	pid, _ = strconv.Atoi(strings.TrimSpace(string(data))) // 0 for rubbish too
	return pid, err == nil, err
}
