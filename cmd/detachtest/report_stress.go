//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// writeStress writes the results in words, and each incident.
func writeStress(w io.Writer, s *stress) error {
	const most = 10 // incidents of one launcher
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d launches each, the manager or its group killed in the middle\n", s.seed, s.launches)
	for _, r := range s.results {
		if r.Failed != "" {
			fmt.Fprintf(&b, "\n%s: %s\n", r.Launcher, r.Failed)
			continue
		}
		fmt.Fprintf(&b, "\n%s, killed within %v: %d whole, %d not at all", r.Launcher, r.Window.Round(10*time.Microsecond), r.Whole, r.Nothing)
		for _, kind := range incidentKinds {
			n := 0
			for _, i := range r.Incidents {
				if i.Kind == kind {
					n++
				}
			}
			fmt.Fprintf(&b, ", %d %s", n, kind)
		}
		b.WriteByte('\n')
		for i, in := range r.Incidents {
			if i == most {
				fmt.Fprintf(&b, "  and %d more\n", len(r.Incidents)-most)
				break
			}
			who := "the manager"
			if in.Group {
				who = "its group"
			}
			fmt.Fprintf(&b, "  launch %d, %s killed after %v: %s: %s\n", in.Launch, who, in.After.Round(time.Microsecond), in.Kind, in.What)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeStressJSON writes all there is to know.
func writeStressJSON(w io.Writer, s *stress) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Clean    bool           `json:"clean"`
		Seed     uint64         `json:"seed"`
		Launches int            `json:"launches"`
		Results  []stressResult `json:"results"`
	}{s.clean(), s.seed, s.launches, s.results})
}
