//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A check is of something that kills nobody on the spot, and hurts somebody
// later: hygiene.
type check struct {
	name string
	// who says, in a sentence, who suffers from it in real life.
	who string
	// stagings are how the stages are set on which it is examined, one after
	// the other until something is bad. None means one, set as usual.
	stagings []staging
	// hidden says why nothing can be seen where the manager is the user's own.
	hidden string
	// examine looks at a stage on which the probe has been launched, unless
	// there is a target. What it waits for it gives patience.
	examine func(ctx context.Context, s *stage, b *birth) (finding, error)
}

// checks are those of the hygiene, in the order of the report.
var checks = []check{
	checkDescriptors,
	checkPort,
	checkPipes,
	checkHelpers,
	checkZombies,
	checkSignals,
	checkTerminal,
	checkOpenFiles,
	checkAppend,
	checkPID,
	checkExecFailure,
}

// A finding is what a check has come to: good, bad or notRun, and a sentence.
type finding struct {
	outcome outcome
	words   string
}

func found(o outcome, format string, args ...any) finding {
	return finding{o, fmt.Sprintf(format, args...)}
}

// patience is how long something that should pass by itself, such as a process
// that is about to end, is given before it is called bad: far longer than load
// explains.
const patience = 5 * time.Second

// await asks until it is so, or patience is at its end.
func await(ctx context.Context, isSo func() (bool, error)) (bool, error) {
	tick := time.NewTicker(beatInterval / 2)
	defer tick.Stop()
	for end := time.After(patience); ; {
		if so, err := isSo(); so || err != nil {
			return so, err
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-end:
			return isSo()
		case <-tick.C:
		}
	}
}

// steadily has a state of /proc count only when it was found three times in a
// row: a look at it takes a while, and a process that is forked after the
// listing by one that has ended when its turn comes is missed.
func steadily(isSo func() (bool, error)) func() (bool, error) {
	const enough = 3
	times := 0
	return func() (bool, error) {
		so, err := isSo()
		if !so {
			times = 0
			return false, err
		}
		times++
		return times >= enough, err
	}
}

// describe names processes.
func describe(list []stat) string {
	var words []string
	for _, p := range list {
		words = append(words, fmt.Sprintf("%s (PID %d)", p.name, p.pid))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
