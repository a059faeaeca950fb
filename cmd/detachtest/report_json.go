//go:build linux

package main

import (
	"encoding/json"
	"io"
)

// writeJSON writes the whole matrix, with what each probe was born with.
func writeJSON(w io.Writer, m *matrix) error {
	type named struct {
		Name string `json:"name"`
		Who  string `json:"who"`
	}
	report := struct {
		Survived bool      `json:"survived"`
		Clean    bool      `json:"clean"` // no check found anything bad
		Deaths   []named   `json:"deaths"`
		Verdicts []verdict `json:"verdicts"`
		Controls []verdict `json:"controls"`
		Checks   []named   `json:"checks,omitempty"`
		Findings []verdict `json:"findings,omitempty"`
	}{Survived: m.survived(), Clean: m.clean(), Verdicts: m.verdicts, Controls: m.controls, Findings: m.findings}
	for _, d := range m.deaths {
		report.Deaths = append(report.Deaths, named{d.name, d.who})
	}
	for _, c := range m.checks {
		report.Checks = append(report.Checks, named{c.name, c.who})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
