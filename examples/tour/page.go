//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// page is where the tour is told. After the first failed write it is silent.
type page struct {
	w      io.Writer
	colour bool
	err    error
}

// newPage uses colour on a terminal whose user has not declined it, see
// https://no-color.org.
func newPage(file *os.File) *page {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return &page{w: file, colour: err == nil && os.Getenv("NO_COLOR") == ""}
}

func (p *page) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// The graphic renditions, see console_codes(4).
const (
	bold  = 1
	faint = 2
	red   = 31
	green = 32
)

func (p *page) paint(rendition int, s string) string {
	if !p.colour {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[m", rendition, s)
}

// The marks in a table, which are coloured there.
const (
	yes = "✓"
	no  = "✗"
)

func mark(ok bool) string {
	if ok {
		return yes
	}
	return no
}

// table prints rows of cells in aligned columns; the first row is the heading.
func (p *page) table(rows ...[]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	p.printf("\n")
	for n, row := range rows {
		line := "  "
		for i, cell := range row {
			// What is painted is wider than it looks, so the padding is ours.
			padding := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			line += " " + p.paintCell(n == 0, cell) + padding + " "
		}
		p.printf("%s\n", strings.TrimRight(line, " "))
	}
	p.printf("\n")
}

func (p *page) paintCell(heading bool, cell string) string {
	if heading && cell != "" {
		return p.paint(faint, cell)
	}
	if rest, ok := strings.CutPrefix(cell, yes); ok {
		return p.paint(green, yes) + rest
	}
	if rest, ok := strings.CutPrefix(cell, no); ok {
		return p.paint(red, no) + rest
	}
	return cell
}
