package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/detachkit/detach/detach"
)

// looking measures what a look at many daemons costs, and a stop of all: one
// command each.
func (b *bench) looking(ctx context.Context) error {
	fmt.Fprintf(b.out, `
4. %d daemons: one command for all, medians of %d runs

`, b.many, b.looks)
	if _, err := exec.LookPath("ps"); err != nil {
		fmt.Fprintln(b.out, "not measured: ps is not installed")
		return nil
	}
	result := table{{"", "ms", "ratio", ""}}
	var status, ps, stop, loop series
	for range b.looks {
		files, pids, err := b.startMany(ctx)
		if err != nil {
			return err
		}
		err = interleave(ctx, 1, 2, func(i int) error {
			if i == 0 {
				return timed(ctx, &status, b.detach, append([]string{"status"}, files...)...)
			}
			return timed(ctx, &ps, "ps", "-o", "pid,stat,lstart,time,rss,nlwp,args", "-p", strings.Join(pids, ","))
		})
		if err != nil {
			return err
		}
		if err := timed(ctx, &stop, b.detach, append([]string{"stop", "-q"}, files...)...); err != nil {
			return err
		}
		if files, pids, err = b.startMany(ctx); err != nil {
			return err
		}
		// A loop of kill, as people write it; it does not wait for the end.
		const script = `for f; do kill "$(cat "$f")"; done`
		if err := timed(ctx, &loop, "sh", append([]string{"-c", script, "sh"}, files...)...); err != nil {
			return err
		}
		if _, err := waitOurs(executes(b.idle), 0); err != nil {
			return fmt.Errorf("after kill of %d: %w", len(pids), err)
		}
		if err := os.RemoveAll(filepath.Join(b.dir, "many")); err != nil {
			return err
		}
	}
	result.row("ps -p", ms(ps.median()), "1", "")
	result.row("detach status", ms(status.median()), times(status.over(ps)), "of ps")
	result.row("sh: kill in a loop", ms(loop.median()), "1", "does not wait for the end")
	result.row("detach stop", ms(stop.median()), times(stop.over(loop)), "of the loop; waits, and removes the PID files")
	result.print(b.out)
	return nil
}

// startMany starts the daemons, each with a PID file.
func (b *bench) startMany(ctx context.Context) (files, pids []string, err error) {
	dir := filepath.Join(b.dir, "many")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	for i := range b.many {
		cmd := detach.Command(b.idle)
		cmd.PIDFile = filepath.Join(dir, fmt.Sprint(i, ".pid"))
		p, err := cmd.Start(ctx)
		if err != nil {
			return nil, nil, err
		}
		p.Close()
		files, pids = append(files, cmd.PIDFile), append(pids, fmt.Sprint(p.PID))
	}
	return files, pids, nil
}

func timed(ctx context.Context, to *series, name string, args ...string) error {
	began := time.Now()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	*to = append(*to, time.Since(began))
	if err != nil {
		return fmt.Errorf("%s %s: %w: %.200s", name, args[0], err, out)
	}
	return nil
}
