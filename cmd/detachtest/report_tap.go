//go:build linux

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// writeTAP writes the Test Anything Protocol, version 13: a test for each
// launcher under each row, named by both.
func writeTAP(w io.Writer, r *results) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TAP version 13\n1..%d\n", len(r.launchers)*len(r.rows))
	number := 0
	for column, l := range r.launchers {
		for i, v := range r.verdicts[column] {
			number++
			result, directive := "ok", ""
			switch {
			case r.fails(column, i):
				result = "not ok"
			case v.fails():
				result, directive = "not ok", " # TODO "+v.words() // which does not count
			case cells[v.Outcome].grade == neither:
				directive = " # SKIP " + v.words()
			}
			fmt.Fprintf(&b, "%s %d - %s%s\n", result, number, escapeTAP(l.name+", "+r.rows[i].name), directive)
			if words := v.words(); words != "" && directive == "" {
				// Quoted as Go does it, printable text is good YAML.
				fmt.Fprintf(&b, "  ---\n  outcome: %s\n  why: %s\n  ...\n", v.Outcome, strconv.Quote(words))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// escapeTAP keeps a description from being taken for a directive.
func escapeTAP(s string) string {
	return strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(printable(s))
}
