//go:build linux

package main

import (
	"fmt"
	"strings"
)

// merge makes one report of those of several runs. A verdict that is not the
// same in all of them is flaky; what a probe died of may differ, since two
// signals can reach it at about the same time.
func merge(runs []*results) *results {
	merged := *runs[0]
	merged.runs = len(runs)
	merged.took = 0
	merged.verdicts = make([][]verdict, len(merged.launchers))
	for _, r := range runs {
		merged.took += r.took
		merged.survived = merged.survived && r.survived
		merged.clean = merged.clean && r.clean
	}
	for column := range merged.launchers {
		for i := range merged.rows {
			var each []verdict
			for _, r := range runs {
				each = append(each, r.verdicts[column][i])
			}
			v := mergeVerdicts(each)
			if merged.rows[i].kind == kindCheck {
				merged.clean = merged.clean && v.Outcome != flaky
			} else {
				merged.survived = merged.survived && v.Outcome != flaky
			}
			merged.verdicts[column] = append(merged.verdicts[column], v)
		}
	}
	return &merged
}

// mergeVerdicts returns the last verdict, with the longest time; or, where they
// differ, one that tells how.
func mergeVerdicts(each []verdict) verdict {
	v := each[len(each)-1]
	same := true
	var told []string
	for run, one := range each {
		v.Seconds = max(v.Seconds, one.Seconds)
		same = same && one.Outcome == v.Outcome
		words := fmt.Sprintf("%s in run %d", cells[one.Outcome].words, run+1)
		if one.Why != "" {
			words += " (" + one.Why + ")"
		}
		told = append(told, words)
	}
	if !same {
		v.Outcome, v.Signal, v.Note = flaky, "", ""
		v.Why = strings.Join(told, ", ")
	}
	return v
}
