//go:build linux

package main

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// gitlab does what the runner does in helpers/process/killer.go when a job is
// cancelled or out of time: SIGTERM to the group of the job's script and, only
// if the script is then still there, SIGKILL.
var gitlab = death{
	name: "gitlab",
	who:  "GitLab Runner when a job is cancelled: SIGTERM to the process group of the job's script, and SIGKILL if the script does not end of it.",
	deal: func(ctx context.Context, s *stage) error {
		if err := s.signalGroup(unix.SIGTERM); err != nil {
			return err
		}
		select {
		case <-s.manager.ended:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(gitlabPatience):
			return s.signalGroup(unix.SIGKILL)
		}
	},
}

// gitlabPatience stands for the runner's ten minutes.
const gitlabPatience = 3 * time.Second
