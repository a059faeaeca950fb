//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

var checkDescriptors = check{
	name:     "descriptors",
	who:      "Managers whose files, pipes and sockets the program holds open for as long as it lives: disks that stay full after a delete, clients that never see the end.",
	stagings: []staging{{faults: []string{faultDescriptors}}},
	examine: func(_ context.Context, _ *stage, b *birth) (finding, error) {
		var wrong []string
		for _, fd := range b.Closed {
			wrong = append(wrong, fmt.Sprintf("%d is closed: the next file that it opens will take its place", fd))
		}
		for _, fd := range slices.Sorted(maps.Keys(b.Descriptors)) {
			if fd > 2 {
				wrong = append(wrong, fmt.Sprintf("%d is %s", fd, b.Descriptors[fd]))
			}
		}
		if len(wrong) > 0 {
			return found(bad, "born with descriptors that are none of its own: %s", strings.Join(wrong, ", ")), nil
		}
		return found(good, "born with 0, 1 and 2 only"), nil
	},
}
