package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// series is what a candidate gave, one value a round.
type series []time.Duration

// median returns the middle value. Unlike a mean it does not move when
// something else on the machine wakes up in one round.
func (s series) median() time.Duration {
	if len(s) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(s))[len(s)/2]
}

// over returns the ratio of two medians.
func (s series) over(base series) float64 {
	if m := base.median(); m > 0 {
		return float64(s.median()) / float64(m)
	}
	return 0
}

// interleave calls measure for each of n candidates in each round, in an order
// drawn for the round: none always has the same one before it, whose traces in
// the caches it would pay for, and whatever slows the machine down for a while
// slows all. The order is the same in every run of the program.
func interleave(ctx context.Context, rounds, n int, measure func(candidate int) error) error {
	order := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		for _, candidate := range order.Perm(n) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := measure(candidate); err != nil {
				return err
			}
		}
	}
	return nil
}
