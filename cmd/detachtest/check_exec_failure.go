//go:build linux

package main

import (
	"context"
	"time"
)

var checkExecFailure = check{
	name:   "exec-failure",
	who:    "Managers that report a server as started which never was: its file is missing or not executable, and the launcher says 0 all the same.",
	hidden: "what the manager makes of it, nobody else can see",
	stagings: []staging{
		{target: missingFile},
		{target: beatFile}, // which is not executable
	},
	examine: func(ctx context.Context, s *stage, _ *birth) (finding, error) {
		what := "a file that does not exist"
		if s.set.target == beatFile {
			what = "a file that is not executable"
		}
		for end := time.After(patience); ; {
			select {
			case <-ctx.Done():
				return finding{}, context.Cause(ctx)
			case <-end:
				return found(bad, "told to launch %s, the launcher had not ended after %v", what, patience), nil
			case r, ok := <-s.remarks:
				switch {
				case !ok:
					return finding{}, s.managerEnded(nil)
				case r.Failed != "":
					return finding{}, &launchError{cause: r.Failed}
				case r.Killed:
					return found(good, "the launcher is killed by a signal"), nil
				case r.Exited != nil && *r.Exited == 0:
					return found(bad, "told to launch %s, the launcher exited with status 0", what), nil
				case r.Exited != nil:
					return found(good, "the launcher exits with status %d", *r.Exited), nil
				}
			}
		}
	},
}

// missingFile is in no nest.
const missingFile = "missing"
