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
		Deaths   []named   `json:"deaths"`
		Verdicts []verdict `json:"verdicts"`
		Controls []verdict `json:"controls"`
	}{Survived: m.survived(), Verdicts: m.verdicts, Controls: m.controls}
	for _, d := range m.deaths {
		report.Deaths = append(report.Deaths, named{d.name, d.who})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
