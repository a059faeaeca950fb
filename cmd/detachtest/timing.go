//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// writeTimes writes how long each row took, the longest of its trials, and how
// long it took in all. Trials are side by side, so that is less than their sum.
func writeTimes(w io.Writer, r *results) error {
	var b strings.Builder
	line := func(d time.Duration, name string) {
		fmt.Fprintf(&b, "%7.1fs  %s\n", d.Seconds(), name)
	}
	longest := func(verdicts func(column int) verdict) time.Duration {
		most := 0.0
		for column := range r.launchers {
			most = max(most, verdicts(column).Seconds)
		}
		return time.Duration(most * float64(time.Second))
	}
	line(longest(func(column int) verdict { return r.controls[column] }), control.name)
	for i, row := range r.rows {
		line(longest(func(column int) verdict { return r.verdicts[column][i] }), row.name)
	}
	in := "in all"
	if r.runs > 1 {
		in += fmt.Sprintf(", %d runs", r.runs)
	}
	line(r.took, in)
	_, err := io.WriteString(w, b.String())
	return err
}
