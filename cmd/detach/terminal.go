package main

import (
	"fmt"
	"io"
)

// A line of progress is written over the one before, and taken away by
// whatever comes after it.
const clearLine = "\r\x1b[K"

// progressLine shows a line of progress on a terminal. What does not fit is
// cut: the rest would not be taken away.
func progressLine(w io.Writer, line string) {
	runes := []rune(line)
	if most := columns(w) - 1; len(runes) > most {
		line = string(runes[:max(most, 0)])
	}
	fmt.Fprint(w, clearLine, line)
}

// isTerminal tells whether somebody watches.
func isTerminal(w io.Writer) bool { return columns(w) > 0 }
