//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// trackingVariable is Constants.ProcessTrackingId of the runner.
const trackingVariable = "RUNNER_TRACKING_ID"

// githubActions does what the runner does in JobExtension.cs: when a job
// starts, it lists the processes, PID and name, and puts a new tracking ID
// into its own environment. When the job ends, each process that is not in the
// list and was executed with that ID, in whatever case, gets SIGKILL.
var githubActions = death{
	name: "github-actions",
	who:  "The GitHub Actions runner at the end of a job: each process that the job has started and that has its RUNNER_TRACKING_ID gets SIGKILL.",
	prepare: func(s *stage) error {
		s.cookies = map[string]string{trackingVariable: "github_" + newCookie()}
		before, err := processes(func(stat) bool { return true })
		s.before = map[string]bool{}
		for _, p := range before {
			s.before[p.nameAndPID()] = true
		}
		return err
	},
	deal: func(_ context.Context, s *stage) error {
		own, err := s.own()
		if err != nil {
			return err
		}
		var orphans []stat
		for _, p := range own {
			if !s.before[p.nameAndPID()] && strings.EqualFold(environ(p.pid)[trackingVariable], s.cookies[trackingVariable]) {
				orphans = append(orphans, p)
			}
		}
		return killAll(orphans)
	},
	by: "cookie",
}

// nameAndPID is how the runner tells processes apart.
func (s stat) nameAndPID() string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", s.pid))
	return fmt.Sprintf("%d_%s", s.pid, strings.TrimSuffix(string(name), "\n"))
}
