//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// expectHead explains a file of expectations to whoever opens it.
const expectHead = `# What each launcher is known to come to: OUTCOME ROW LAUNCHER.
# Written by detachtest --format expect, compared by detachtest --expect.
`

// writeExpect writes what --expect reads.
func writeExpect(w io.Writer, r *results) error {
	var b strings.Builder
	b.WriteString(expectHead)
	first, second := 0, 0
	for o := range cells {
		first = max(first, len(o))
	}
	for _, row := range r.rows {
		second = max(second, len(row.name))
	}
	for column, l := range r.launchers {
		b.WriteByte('\n')
		for i, v := range r.verdicts[column] {
			fmt.Fprintf(&b, "%-*s  %-*s  %s\n", first, v.Outcome, second, r.rows[i].name, printable(l.name))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// An expectation is one line of such a file.
type expectation struct {
	outcome  outcome
	row      string
	launcher string
}

// readExpect reads a file of expectations.
func readExpect(path string) ([]expectation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var expected []expectation
	known := map[[2]string]bool{}
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := parseExpectation(line)
		if err == nil && known[[2]string{e.row, e.launcher}] {
			err = fmt.Errorf("%s, %s stands there twice", e.launcher, e.row)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		known[[2]string{e.row, e.launcher}] = true
		expected = append(expected, e)
	}
	return expected, lines.Err()
}

func parseExpectation(line string) (expectation, error) {
	word, rest, _ := strings.Cut(line, " ")
	row, launcher, _ := strings.Cut(strings.TrimSpace(rest), " ")
	e := expectation{outcome(word), row, strings.TrimSpace(launcher)}
	if _, ok := cells[e.outcome]; !ok || e.launcher == "" {
		return e, fmt.Errorf("%q is not OUTCOME ROW LAUNCHER", line)
	}
	return e, nil
}

// differences says, a line each, where the report is not what was expected.
// What was left out on purpose is none: isSkipped tells of which rows.
func (r *results) differences(expected []expectation, isSkipped func(row string) bool) []string {
	var lines []string
	rest := map[[2]string]outcome{}
	for _, e := range expected {
		rest[[2]string{e.row, e.launcher}] = e.outcome
	}
	for column, l := range r.launchers {
		for i, v := range r.verdicts[column] {
			key := [2]string{r.rows[i].name, printable(l.name)}
			want, ok := rest[key]
			delete(rest, key)
			if ok && want == v.Outcome {
				continue
			}
			line := fmt.Sprintf("%s, %s: %s, not %s", key[1], key[0], v.Outcome, want)
			if !ok {
				line = fmt.Sprintf("%s, %s: %s, not expected at all", key[1], key[0], v.Outcome)
			}
			if words := v.words(); words != "" {
				line += ": " + words
			}
			lines = append(lines, line)
		}
	}
	for _, e := range expected {
		if _, ok := rest[[2]string{e.row, e.launcher}]; ok && !isSkipped(e.row) {
			lines = append(lines, fmt.Sprintf("%s, %s: missing, not %s", e.launcher, e.row, e.outcome))
		}
	}
	return lines
}

// writeDifferences writes them.
func writeDifferences(w io.Writer, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}
