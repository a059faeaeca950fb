package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	// An interrupted run still has to end what it started.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// plan is how much is measured.
type plan struct {
	runs   int   // of each candidate, interleaved
	heaps  []int // GiB
	blocks int   // of starts for the rates, of each candidate
	block  int   // starts in a block
	peaks  int   // runs for the peak memory, not timed
	many   int   // daemons to look at together
	looks  int   // runs of that
}

// bench is where the measuring is done.
type bench struct {
	plan
	out    io.Writer
	dir    string // of its own, and in the command line of all it starts
	idle   string // the program that is started
	empty  string // a Go program that does nothing
	detach string // the binary
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	bin := flags.String("bin", "bin", "`folder` with the binary detach")
	runs := flags.Int("runs", 200, "interleaved runs of each candidate")
	only := flags.Int("section", 0, "measure this section alone, 1 to 4")
	quick := flags.Bool("quick", false, "a few runs only, to see that it works: the numbers mean nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b := &bench{plan: plan{runs: max(*runs, 1), heaps: []int{0, 1, 4}, blocks: 10, block: 320, peaks: 15, many: 1000, looks: 5}, out: out}
	if *quick {
		b.plan = plan{runs: 2, heaps: []int{0}, blocks: 1, block: 16, peaks: 1, many: 20, looks: 1}
	}
	if b.detach, err = filepath.Abs(filepath.Join(*bin, "detach")); err != nil {
		return err
	}
	if _, err := os.Stat(b.detach); err != nil {
		return fmt.Errorf("%w (make builds it)", err)
	}
	if b.dir, err = os.MkdirTemp("", "detach-bench-"); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, endOurs(b.dir), os.RemoveAll(b.dir))
	}()
	if err := b.buildPrograms(); err != nil {
		return err
	}
	b.printMachine()
	for i, section := range []func(context.Context) error{b.starts, b.launchers, b.rates, b.looking} {
		if *only != 0 && *only != i+1 {
			continue
		}
		if err := section(ctx); err != nil {
			return err
		}
	}
	return nil
}
