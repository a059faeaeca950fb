package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// rates measures how many starts a second one program makes.
func (b *bench) rates(ctx context.Context) error {
	fmt.Fprintf(b.out, `
3. Starts a second from one Go program, %d blocks of %d starts each

`, b.blocks, b.block)
	starters := []starter{packageStarter, execStarter}
	result := table{{"goroutines", "package Start /s", "os/exec /s", "package / os/exec", ""}}
	for _, goroutines := range []int{1, 16} {
		took := make([]series, len(starters))
		err := interleave(ctx, b.blocks, len(starters), func(i int) error {
			d, err := timeBlock(starters[i], b.idle, b.block, goroutines)
			took[i] = append(took[i], d)
			return err
		})
		if err != nil {
			return err
		}
		rate := func(i int) string { return fmt.Sprintf("%.0f", float64(b.block)/took[i].median().Seconds()) }
		result.row(fmt.Sprint(goroutines), rate(0), rate(1), times(took[1].over(took[0])), "")
	}
	result.print(b.out)
	return nil
}

// timeBlock starts n programs and ends them after the clock was stopped.
func timeBlock(s starter, path string, n, goroutines int) (time.Duration, error) {
	ends, errs := make([]func() error, n), make([]error, n)
	var workers sync.WaitGroup
	began := time.Now()
	for g := range goroutines {
		workers.Go(func() {
			for i := g; i < n; i += goroutines {
				ends[i], errs[i] = s.start(path)
			}
		})
	}
	workers.Wait()
	took := time.Since(began)
	for i, end := range ends {
		if end != nil {
			errs[i] = end()
		}
	}
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	return took, nil
}
