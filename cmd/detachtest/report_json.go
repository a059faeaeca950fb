//go:build linux

package main

import (
	"encoding/json"
	"io"
)

// writeJSON writes the whole report, with what each probe was born with.
func writeJSON(w io.Writer, r *results) error {
	type named struct {
		Name string `json:"name"`
		Who  string `json:"who"`
	}
	// What is no death stands apart, so that a reader who knows nothing of it
	// need not.
	out := struct {
		Survived  bool      `json:"survived"`
		Clean     bool      `json:"clean"` // no check found anything bad
		Runs      int       `json:"runs"`
		Seconds   float64   `json:"seconds"`
		Launchers []string  `json:"launchers"`
		Deaths    []named   `json:"deaths"`
		Verdicts  []verdict `json:"verdicts"`
		Controls  []verdict `json:"controls"`
		Checks    []named   `json:"checks,omitempty"`
		Findings  []verdict `json:"findings,omitempty"`
	}{Survived: r.survived, Clean: r.clean, Runs: r.runs, Seconds: r.took.Seconds(), Controls: r.controls}
	for _, row := range r.rows {
		rows := &out.Checks
		if row.kind == kindDeath {
			rows = &out.Deaths
		}
		*rows = append(*rows, named{row.name, row.who})
	}
	for column, l := range r.launchers {
		out.Launchers = append(out.Launchers, l.name)
		for i, v := range r.verdicts[column] {
			verdicts := &out.Findings
			if r.rows[i].kind == kindDeath {
				verdicts = &out.Verdicts
			}
			*verdicts = append(*verdicts, v)
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}
