//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/detachkit/detach/detach"
)

// tour is one run of the demonstration. What it tells it has seen itself; what
// it does not find as promised is an error.
type tour struct {
	page   *page
	detach string // the path of the launcher
	folder string

	manager       *manager
	child, server *subject // nil until they run
}

func (t *tour) run(ctx context.Context) error {
	t.page.printf("%s\n\n", t.page.paint(bold, "A server that outlives its manager"))
	report, err := t.start(ctx)
	if err != nil {
		return err
	}
	if err := t.showChecks(report); err != nil {
		return err
	}
	if err := t.killManager(ctx); err != nil {
		return err
	}
	if err := t.stopServer(ctx); err != nil {
		return err
	}
	t.page.printf("\nAll as promised. Next: %s, or %s\n",
		t.page.paint(bold, "make test"), t.page.paint(bold, "bin/detach --help"))
	return nil
}

// start starts the manager, and through it the two servers.
func (t *tour) start(ctx context.Context) (launched, error) {
	var err error
	if t.manager, err = startManager(ctx, t.folder, t.detach); err != nil {
		return launched{}, err
	}
	t.page.printf("1. A manager starts: PID %d, in a session and process group of its own.\n", t.manager.pid())
	report, err := t.manager.report()
	if err != nil {
		return launched{}, err
	}
	if t.child, err = t.meet(ctx, childPIDFile, childLog); err != nil {
		return launched{}, fmt.Errorf("the plain child: %w", err)
	}
	if t.server, err = t.meet(ctx, serverPIDFile, serverLog); err != nil {
		return launched{}, fmt.Errorf("the server: %w", err)
	}
	if t.server.pid() != report.PID {
		return launched{}, fmt.Errorf("detach says that the server is process %d, but it is %d", report.PID, t.server.pid())
	}
	t.page.printf("2. It starts the same small web server twice: as a plain child, and by detach.\n")
	t.page.table(
		[]string{"", "command", "PID", "answers at"},
		[]string{"child", "tour " + serverRole, strconv.Itoa(t.child.pid()), t.child.url},
		[]string{"server", "detach " + strings.Join(detachFlags, " ") + " tour " + serverRole, strconv.Itoa(t.server.pid()), t.server.url},
	)
	return report, nil
}

// showChecks shows what detach has verified before it returned.
func (t *tour) showChecks(report launched) error {
	t.page.printf("3. Before it said so, detach looked at the server from outside:\n")
	rows := [][]string{{"", "check", "found", "has to be"}}
	for _, c := range report.Checks {
		rows = append(rows, []string{mark(c.OK), c.Name, c.Got, c.Want})
	}
	t.page.table(rows...)
	for _, h := range report.Hazards {
		t.page.printf("   Hazard: %s.\n\n", h.Text)
	}
	if len(report.Checks) == 0 || !report.OK() {
		return errors.New("detach has not verified what it started")
	}
	return nil
}

// killManager kills the manager with its group and looks who is left.
func (t *tour) killManager(ctx context.Context) error {
	t.page.printf("4. The manager and its whole process group are killed: kill -KILL -%d\n", t.manager.pid())
	before, err := t.server.logLines()
	if err != nil {
		return err
	}
	if end := t.manager.kill(); !wasKilled(end) {
		return fmt.Errorf("the manager had ended before: %v", end)
	}
	if _, err := t.child.process.Wait(ctx); err != nil {
		return fmt.Errorf("the plain child lives on, so nothing is shown by a server that does: %w", err)
	}
	// What was written while its manager was alive proves nothing.
	lines, err := t.server.logLines()
	if err != nil {
		return err
	}
	was := t.server.last
	if err := t.server.visit(ctx); err != nil {
		return fmt.Errorf("the server has not outlived its manager: %w", err)
	}
	now := t.server.last
	if now.PID != was.PID || now.Visits != was.Visits+1 || now.Uptime <= was.Uptime {
		return fmt.Errorf("this is another server: it answered %+v before and %+v after", was, now)
	}
	grown, err := t.server.awaitLogLines(ctx, lines+beatsSeen)
	if err != nil {
		return fmt.Errorf("the log of the server does not grow any more: %w", err)
	}
	t.page.table(
		[]string{"", "before", "after"},
		[]string{"manager", yes + " runs", no + " killed"},
		[]string{"child", yes + " answers", no + " died with it"},
		[]string{"server", yes + " answers", fmt.Sprintf("%s answers, still PID %d, visit %d", yes, now.PID, now.Visits)},
		[]string{"its log", fmt.Sprintf("%s %d lines", yes, before), fmt.Sprintf("%s %d lines, still growing", yes, grown)},
	)
	return nil
}

// stopServer stops the server as anybody may who can read its PID file.
func (t *tour) stopServer(ctx context.Context) error {
	t.page.printf("5. Its PID file is all that is needed to stop it: kill $(cat %s)\n", serverPIDFile)
	if err := t.server.process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if _, err := t.server.process.Wait(ctx); err != nil {
		return fmt.Errorf("the server does not stop: %w", err)
	}
	last, err := t.server.lastWords()
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("%s %d", goodbye, t.server.last.Visits); last != want {
		return fmt.Errorf("the server did not end in good order: its log ends with %q, not %q", last, want)
	}
	t.page.printf("   Its last words: %q.\n", last)
	return nil
}

// meet finds a server that the manager has started, and visits it.
func (t *tour) meet(ctx context.Context, pidfile, log string) (*subject, error) {
	process, err := detach.Open(filepath.Join(t.folder, pidfile))
	if err != nil {
		return nil, err
	}
	s := &subject{process: process, log: filepath.Join(t.folder, log)}
	if err := s.greet(ctx); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// tidyUp ends all that may still run and removes all files.
func (t *tour) tidyUp() error {
	var errs []error
	if t.manager != nil {
		t.manager.kill()
	}
	for _, s := range []*subject{t.child, t.server} {
		if s != nil {
			errs = append(errs, s.end())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(t.folder))...)
}
