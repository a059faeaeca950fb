package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A help text fits on a terminal.
func TestUsageFits(t *testing.T) {
	texts := []string{usage}
	for _, v := range verbs {
		var stdout, stderr strings.Builder
		require.Zero(t, v.run([]string{"--help"}, &stdout, &stderr), stderr.String())
		texts = append(texts, stdout.String())
	}
	for _, text := range texts {
		for line := range strings.Lines(text) {
			require.LessOrEqual(t, len(line)-len("\n"), 80, line)
		}
	}
}
