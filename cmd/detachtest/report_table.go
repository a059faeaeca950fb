//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A style is how a table is drawn.
type style struct {
	colour bool
	width  int // of the terminal, in columns; 0 for no matter
}

// writeTable writes deaths as rows and launchers as columns, and below, a line
// each, why a probe did not survive.
func writeTable(w io.Writer, r *results, s style) error {
	lines := tableLines(r, s, func(column, row int) cell {
		return cells[r.verdicts[column][row].Outcome]
	})
	if reasons := r.reasons(); len(reasons) > 0 {
		lines = slices.Concat(lines, []string{""}, reasons)
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// gap is between two columns.
const gap = 2

// tableLines draws the table. Where the launchers' names make it too wide they
// are numbered, and where that does not do either, it is drawn in parts.
func tableLines(r *results, s style, look func(column, row int) cell) []string {
	first := 0
	for _, row := range r.rows {
		first = max(first, len(row.name))
	}
	var names, legend []string
	width := first
	for _, l := range r.launchers {
		name := printable(l.name)
		names = append(names, name)
		width += gap + utf8.RuneCountInString(name)
	}
	if s.width > 0 && width > s.width {
		digits := len(fmt.Sprint(len(names)))
		for i, name := range names {
			legend = append(legend, fmt.Sprintf("%*d  %s", digits, i+1, name))
			names[i] = fmt.Sprint(i + 1)
		}
		legend = append(legend, "")
	}
	lines := legend
	for begin := 0; begin < len(names); {
		end, width := begin, first
		for end < len(names) {
			width += gap + utf8.RuneCountInString(names[end])
			if s.width > 0 && width > s.width && end > begin {
				break
			}
			end++
		}
		if begin > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, partLines(r, s, look, names, first, begin, end)...)
		begin = end
	}
	return lines
}

// partLines draws the columns from begin until before end.
func partLines(r *results, s style, look func(column, row int) cell, names []string, first, begin, end int) []string {
	var b strings.Builder
	fmt.Fprintf(&b, "%*s", first, "")
	for _, name := range names[begin:end] {
		fmt.Fprintf(&b, "%*s%s", gap, "", name)
	}
	lines := []string{b.String()}
	for i, row := range r.rows {
		if i > 0 && row.kind != r.rows[i-1].kind {
			lines = append(lines, "")
		}
		b.Reset()
		fmt.Fprintf(&b, "%-*s", first, row.name)
		padding := 0
		for column := begin; column < end; column++ {
			fmt.Fprintf(&b, "%*s%s", padding+gap, "", s.paint(look(column, i)))
			padding = utf8.RuneCountInString(names[column]) - 1
		}
		lines = append(lines, b.String())
	}
	return lines
}

func (s style) paint(c cell) string {
	if !s.colour {
		return c.sign
	}
	return "\x1b[" + c.colour + "m" + c.sign + "\x1b[0m"
}
