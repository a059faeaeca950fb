//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A progress is the table as it fills, drawn on a terminal in the place where
// the report is to stand. A nil one draws nothing.
type progress struct {
	terminal *os.File
	report   *results // its rows and launchers
	head     string

	mu    sync.Mutex
	cells map[[2]string]cell // by launcher and row
	last  string             // what was begun last
	done  int
	drawn int // lines on the screen
	dirty bool

	ends chan struct{}
	idle sync.WaitGroup
}

// How a trial looks that has not come to its end.
var (
	waiting = cell{"·", faint, "waiting", neither}
	running = cell{"…", yellow, "running", neither}
)

// drawInterval is how often the table is drawn at most: a terminal may be at
// the other end of a slow line.
const drawInterval = 100 * time.Millisecond

// progressTerminal returns the terminal to draw on: that of standard error, or
// that of standard output where the table is to stand. It returns nil where
// there is none.
func progressTerminal(o *options, stdout, stderr io.Writer) *os.File {
	if os.Getenv("TERM") == "dumb" {
		return nil
	}
	if file, ok := asTerminal(stderr); ok {
		return file
	}
	if file, ok := asTerminal(stdout); ok && o.format == formatTable {
		return file
	}
	return nil
}

// startProgress begins to draw. It must be stopped.
func startProgress(terminal *os.File, r *results, run, runs int) *progress {
	p := &progress{terminal: terminal, report: r, cells: map[[2]string]cell{}, ends: make(chan struct{}), dirty: true}
	if runs > 1 {
		p.head = fmt.Sprintf("run %d of %d: ", run, runs)
	}
	p.idle.Go(func() {
		tick := time.NewTicker(drawInterval)
		defer tick.Stop()
		for {
			p.draw()
			select {
			case <-p.ends:
				return
			case <-tick.C:
			}
		}
	})
	return p
}

// begun says that a trial has begun.
func (p *progress) begun(column int, row string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	name := p.report.launchers[column].name
	p.cells[[2]string{name, row}] = running
	p.last = printable(name) + ", " + row
	p.dirty = true
}

// ended says what a trial has come to.
func (p *progress) ended(column int, row string, v verdict) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cells[[2]string{p.report.launchers[column].name, row}] = cells[v.Outcome]
	p.done++
	p.dirty = true
}

// stop takes the table off the screen.
func (p *progress) stop() {
	if p == nil {
		return
	}
	close(p.ends)
	p.idle.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.terminal, p.erase()) // a terminal that has gone needs none
}

// draw draws the table over the one before.
func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dirty {
		return
	}
	p.dirty = false
	width, height := terminalSize(p.terminal)
	total := len(p.report.launchers) * (len(p.report.rows) + 1) // and the control
	lines := []string{fmt.Sprintf("%s%d of %d done, now %s", p.head, p.done, total, p.last)}
	table := tableLines(p.report, style{wantsColour(p.terminal), width}, p.look)
	// What has scrolled off the screen cannot be drawn over.
	if len(table)+len(lines) < height {
		lines = append(table, lines...)
	}
	// A line that is too long is cut off, not wrapped: the next drawing counts
	// the lines to go up.
	const wrapOff, wrapOn = "\x1b[?7l", "\x1b[?7h"
	drawing := p.erase() + wrapOff + strings.Join(lines, "\n") + "\n" + wrapOn
	p.drawn = len(lines)
	_, _ = io.WriteString(p.terminal, drawing)
}

func (p *progress) look(column, row int) cell {
	c, ok := p.cells[[2]string{p.report.launchers[column].name, p.report.rows[row].name}]
	if !ok {
		return waiting
	}
	return c
}

// erase returns what takes off the screen what has been drawn.
func (p *progress) erase() string {
	if p.drawn == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", p.drawn)
}

// styleOf returns the style for a table written to w.
func styleOf(w io.Writer) style {
	s := style{colour: wantsColour(w)}
	if file, ok := asTerminal(w); ok {
		s.width, _ = terminalSize(file)
	} else if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil {
		s.width = columns
	}
	return s
}

// wantsColour tells whether w is a terminal whose user has not declined.
func wantsColour(w io.Writer) bool {
	_, ok := asTerminal(w)
	return ok && os.Getenv("NO_COLOR") == ""
}

func asTerminal(w io.Writer) (*os.File, bool) {
	file, ok := w.(*os.File)
	if !ok {
		return nil, false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return file, err == nil
}

// terminalSize returns the columns and lines, those of old where a terminal
// does not know its own.
func terminalSize(terminal *os.File) (width, height int) {
	size, err := unix.IoctlGetWinsize(int(terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}
