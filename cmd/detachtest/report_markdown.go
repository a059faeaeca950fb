//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
)

// writeMarkdown writes the table, and the reasons folded up below it, for
// comments on pull requests and summaries of CI jobs.
func writeMarkdown(w io.Writer, r *results) error {
	var b strings.Builder
	b.WriteString(markdownTable(r))
	if reasons := r.reasons(); len(reasons) > 0 {
		fmt.Fprintf(&b, "\n<details><summary>Why, a line each: %d</summary>\n\n", len(reasons))
		for _, reason := range reasons {
			fmt.Fprintf(&b, "- %s\n", escapeMarkdown(reason))
		}
		b.WriteString("\n</details>\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdownTable returns the table alone.
func markdownTable(r *results) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, l := range r.launchers {
		fmt.Fprintf(&b, " %s |", escapeMarkdown(printable(l.name)))
	}
	b.WriteString("\n|---|" + strings.Repeat(":-:|", len(r.launchers)) + "\n")
	for i, row := range r.rows {
		if i > 0 && row.kind != r.rows[i-1].kind {
			b.WriteString("| **" + kindTitle(row.kind) + "** |" + strings.Repeat(" |", len(r.launchers)) + "\n")
		}
		fmt.Fprintf(&b, "| %s |", escapeMarkdown(row.name))
		for column := range r.launchers {
			fmt.Fprintf(&b, " %s |", cells[r.verdicts[column][i].Outcome].sign)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// escapeMarkdown makes text stand for itself.
func escapeMarkdown(s string) string {
	const special = "\\`*_{}[]<>#|~&$"
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(special, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
