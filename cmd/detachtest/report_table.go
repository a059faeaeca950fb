//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// cell is how an outcome looks in the table.
type cell struct{ sign, colour string }

var cells = map[outcome]cell{
	survived:     {"✓", "32"}, // green
	died:         {"✗", "31"}, // red
	frozen:       {"✗", "31"},
	launchFailed: {"–", "31"},
	notRun:       {"–", "2"}, // faint
	good:         {"✓", "32"},
	bad:          {"✗", "33"}, // yellow
}

// writeTable writes deaths as rows and launchers as columns, and below, a line
// each, why a probe did not survive.
func writeTable(w io.Writer, m *matrix, colour bool) error {
	var b strings.Builder
	first := 0
	for _, d := range m.deaths {
		first = max(first, len(d.name))
	}
	for _, c := range m.checks {
		first = max(first, len(c.name))
	}
	fmt.Fprintf(&b, "%-*s", first, "")
	for _, l := range m.launchers {
		fmt.Fprintf(&b, "  %s", l.name)
	}
	b.WriteByte('\n')
	for row, d := range m.deaths {
		m.writeRow(&b, first, d.name, row, m.verdict, colour)
	}
	if len(m.deaths) > 0 && len(m.checks) > 0 {
		b.WriteByte('\n')
	}
	for row, c := range m.checks {
		m.writeRow(&b, first, c.name, row, m.finding, colour)
	}
	if reasons := reasons(m); len(reasons) > 0 {
		b.WriteString("\n" + strings.Join(reasons, "\n") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeRow writes one row of verdicts.
func (m *matrix) writeRow(b *strings.Builder, first int, name string, row int, verdict func(column, row int) verdict, colour bool) {
	fmt.Fprintf(b, "%-*s", first, name)
	padding := 0
	for column, l := range m.launchers {
		c := cells[verdict(column, row).Outcome]
		sign := c.sign
		if colour {
			sign = "\x1b[" + c.colour + "m" + sign + "\x1b[0m"
		}
		fmt.Fprintf(b, "%*s  %s", padding, "", sign)
		padding = utf8.RuneCountInString(l.name) - 1
	}
	b.WriteByte('\n')
}

// reasons says why each probe did not survive, and what was odd about a death.
// A launch that failed for every death is told once.
func reasons(m *matrix) []string {
	var lines []string
	for column, l := range m.launchers {
		if c := m.controls[column]; c.Outcome == launchFailed {
			lines = append(lines, l.name+": "+c.Why)
			continue
		}
		for row, d := range m.deaths {
			v := m.verdict(column, row)
			for _, words := range []string{v.Why, v.Note} {
				if words != "" {
					lines = append(lines, fmt.Sprintf("%s, %s: %s", l.name, d.name, words))
				}
			}
		}
		for row, c := range m.checks {
			if v := m.finding(column, row); v.Why != "" {
				lines = append(lines, fmt.Sprintf("%s, %s: %s", l.name, c.name, v.Why))
			}
		}
	}
	return lines
}
