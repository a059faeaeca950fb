//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// An outcome is what became of the probe.
type outcome string

const (
	survived     outcome = "survived"      // it lives, and beats as before
	died         outcome = "died"          // it is dead
	frozen       outcome = "frozen"        // it lives, but does not beat any more
	doomed       outcome = "doomed"        // it is dead, as everything is after this death
	launchFailed outcome = "launch-failed" // there was none
	notRun       outcome = "not-run"       // the death cannot be staged here
	flaky        outcome = "flaky"         // not the same in each of several runs
)

// What a check comes to besides launchFailed and notRun.
const (
	good outcome = "good"
	bad  outcome = "bad"
)

// A verdict is what one launcher came to under one death, or one check.
type verdict struct {
	Launcher string  `json:"launcher"`
	Death    string  `json:"death,omitempty"`
	Check    string  `json:"check,omitempty"`
	Outcome  outcome `json:"outcome"`
	// Signal is what the probe died of, if it did and that can be known.
	Signal string `json:"signal,omitempty"`
	// Why says in words why it did not survive, or what is bad.
	Why string `json:"why,omitempty"`
	// Found says in words what a check found that is good.
	Found string `json:"found,omitempty"`
	// Note says what was odd about the death itself.
	Note string `json:"note,omitempty"`
	// Seconds is how long the trial took.
	Seconds float64 `json:"seconds,omitempty"`
	Birth   *birth  `json:"birth,omitempty"`
}

const (
	// survivalBeats is how many beats after the death prove survival. A probe
	// that was sent a signal does not come to beat once, and one that meets a
	// broken pipe does so at the next; the rest is for parents that end late
	// and take the probe with them.
	survivalBeats = 10
	// frozenAfter is for how long a living probe has to be silent to be called
	// frozen: two hundred and fifty beats, which no load explains.
	frozenAfter = 250 * beatInterval
)

// watch looks what becomes of the probe.
func (s *stage) watch(ctx context.Context) (outcome, error) {
	first := s.nest.beats()
	last, grown := first, time.Now()
	tick := time.NewTicker(beatInterval / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-s.probe.ended:
			return died, nil
		case <-tick.C:
		}
		beats := s.nest.beats()
		if beats > last {
			last, grown = beats, time.Now()
		}
		switch {
		case s.probe.dead(): // it may have beaten on until now
		case beats >= first+survivalBeats:
			return survived, nil
		case time.Since(grown) > frozenAfter:
			return frozen, nil
		}
	}
}

// causeOfDeath says what the probe died of, and how long after since: the
// moment that blow, in words, happened. by says by what the death found it. It takes the manager with it, whose
// child the probe may be: only then can its status be had.
func (s *stage) causeOfDeath(since time.Time, blow, by string) (signal, why string, err error) {
	if err := s.manager.kill(); err != nil {
		return "", "", err
	}
	when := "with " + blow
	if after := s.probe.at.Sub(since).Round(time.Millisecond); after > 0 {
		when = fmt.Sprintf("%v after %s", after, blow)
	}
	status, known := s.probe.reap()
	if !known {
		status, known = s.probe.posthumous()
	}
	switch {
	case !known:
		return "", "died " + when + ", of what only its parent knows", nil
	case status.Signaled():
		signal = unix.SignalName(status.Signal())
		switch {
		case status.Signal() == unix.SIGPIPE:
			when = "on " + s.nest.output() + " " + when
		case by != "":
			when = "by " + by + ", " + when
		}
		return signal, fmt.Sprintf("died of %s %s%s", signal, when, explanation(status.Signal())), nil
	default:
		return "", fmt.Sprintf("exited with status %d %s", status.ExitStatus(), when), nil
	}
}

// explanation adds to a signal what its name does not tell everybody.
func explanation(sig unix.Signal) string {
	switch sig {
	case unix.SIGPIPE:
		return ": it wrote to a pipe that nobody reads any more"
	case unix.SIGHUP:
		return ": its terminal is gone"
	default:
		return ""
	}
}
