//go:build linux

package main

import (
	"context"
	"os"
	"strconv"
)

var checkOpenFiles = check{
	name:     "open-files",
	who:      "Programs that use select(2), or loop over all descriptors there could be, under a launcher in Go, whose runtime raises the limit of open files; and those that get fewer than their manager has.",
	stagings: []staging{{faults: []string{faultOpenFiles}}},
	examine: func(_ context.Context, _ *stage, b *birth) (finding, error) {
		data, err := os.ReadFile("/proc/self/limits")
		if err != nil {
			return finding{}, err
		}
		want := limit{Soft: strconv.Itoa(loweredOpenFiles), Hard: parseLimits(string(data))[openFilesLimit].Hard}
		if b.OpenFiles != want {
			return found(bad, "born with a limit of %s, at most %s; the manager had %s, at most %s",
				b.OpenFiles.Soft, b.OpenFiles.Hard, want.Soft, want.Hard), nil
		}
		return found(good, "the limit is the manager's, %s", want.Soft), nil
	},
}
