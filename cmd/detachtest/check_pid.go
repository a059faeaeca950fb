//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

var checkPID = check{
	name:   "pid",
	who:    "Whoever has to stop the program later, and is left with pkill and a pattern.",
	hidden: "what the manager knows, nobody else can see",
	// The caller knows the PID if it is that of the launcher, which has become
	// the program; if it stands as a number of its own on the launcher's
	// standard output; or if it is in the file that {pidfile} named.
	examine: func(_ context.Context, s *stage, b *birth) (finding, error) {
		if b.PID == s.launcher {
			return found(good, "it is the launcher's own"), nil
		}
		if data, err := os.ReadFile(s.nest.path(pidFile)); err == nil {
			if strings.TrimSpace(string(data)) == strconv.Itoa(b.PID) {
				return found(good, "it is in the PID file"), nil
			}
			return found(bad, "the PID file has %q, and not PID %d", data, b.PID), nil
		}
		r, err := s.order(orderOutput, remark.isOutput)
		if err != nil {
			return finding{}, err
		}
		if slices.Contains(numbers(r.Stdout), strconv.Itoa(b.PID)) {
			return found(good, "it is on the launcher's standard output"), nil
		}
		return found(bad, "the launcher does not say it: not on its standard output, and in no file named {pidfile}"), nil
	},
}

// numbers returns the numbers in a launcher's output, but for those that the
// probe wrote there.
func numbers(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		fields := strings.FieldsFunc(line, func(r rune) bool { return !unicode.IsDigit(r) })
		if len(fields) == 1 {
			if n, err := strconv.Atoi(fields[0]); err == nil && line == fmt.Sprintf(beatLine, n) {
				continue
			}
		}
		list = append(list, fields...)
	}
	return list
}
