//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

var checkAppend = check{
	name:     "append",
	who:      "Users of logrotate's copytruncate: a log that is not appended to goes on at its old offset, a file of zeros as long as before, and two programs on one log overwrite each other.",
	stagings: []staging{{faults: []string{faultLog}}},
	examine: func(_ context.Context, _ *stage, b *birth) (finding, error) {
		if len(b.Overwriting) > 0 {
			var files []string
			for _, fd := range b.Overwriting {
				files = append(files, fmt.Sprintf("%s (descriptor %d)", b.Descriptors[fd], fd))
			}
			return found(bad, "not opened for appending: %s", strings.Join(files, ", ")), nil
		}
		for _, fd := range []int{1, 2} {
			if file, err := os.Stat(fmt.Sprintf("/proc/%d/fd/%d", b.PID, fd)); err == nil && file.Mode().IsRegular() {
				return found(good, "what it writes is appended"), nil
			}
		}
		return found(notRun, "its output is %s and %s, no file: there is no log to append to", b.Descriptors[1], b.Descriptors[2]), nil
	},
}
