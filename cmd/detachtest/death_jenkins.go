//go:build linux

package main

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// jenkins does what Jenkins core does at the end of a build, in Launcher.kill
// and hudson.util.ProcessTree: of all processes it picks those whose
// environment has all the variables that Job and Run.getCharacteristicEnvVars
// name, each with the build's own value, and kills these and all below them,
// children first. Core leaves it at SIGTERM; what it hands those over to that
// are still there after 5 seconds, a ProcessKiller, is in the plug-in that
// everybody adds for it SIGKILL.
var jenkins = death{
	name: "jenkins",
	who:  "Jenkins at the end of a build: whatever has all of the build's characteristic variables in its environment gets SIGTERM, and SIGKILL after 5 s.",
	prepare: func(s *stage) error {
		const number, job = "7", "detachtest"
		cookie := newCookie()
		s.cookies = map[string]string{
			"JENKINS_SERVER_COOKIE": cookie,
			"HUDSON_SERVER_COOKIE":  cookie,
			"JOB_NAME":              "folder/" + job,
			"JOB_BASE_NAME":         job,
			"BUILD_NUMBER":          number,
			"BUILD_ID":              number,
			"BUILD_TAG":             "jenkins-folder-" + job + "-" + number,
		}
		return nil
	},
	deal: func(ctx context.Context, s *stage) error { return s.killByCookies(ctx, s.cookies) },
	by:   "cookie",
}

// killByCookies is ProcessTree.killAll(Map): it kills what was executed with all
// of the variables, and what is below it.
func (s *stage) killByCookies(ctx context.Context, cookies map[string]string) error {
	own, err := s.own()
	if err != nil {
		return err
	}
	slices.SortFunc(own, func(a, b stat) int { return a.pid - b.pid })
	for _, p := range own {
		if !p.hasCookies(cookies) {
			continue
		}
		deadline := time.Now().Add(jenkinsPatience)
		for _, victim := range childrenFirst(own, p) {
			if err := victim.stop(ctx, deadline); err != nil {
				return err
			}
		}
	}
	return nil
}

// jenkinsPatience is SoftKillWaitSeconds, for a process and all below it
// together.
const jenkinsPatience = 5 * time.Second

// hasCookies tells whether a process was executed with all of the variables.
func (s stat) hasCookies(cookies map[string]string) bool {
	variables := environ(s.pid)
	for name, value := range cookies {
		if v, ok := variables[name]; !ok || v != value {
			return false
		}
	}
	return len(cookies) > 0
}

// childrenFirst returns root and all below it, according to a list of
// processes, everyone after its children.
func childrenFirst(list []stat, root stat) []stat {
	var order []stat
	for _, p := range list {
		if p.parent == root.pid {
			order = append(order, childrenFirst(list, p)...)
		}
	}
	return append(order, root)
}

// stop sends SIGTERM to a process, and SIGKILL if it is still there at the
// deadline. One that has ended already is none of its business.
func (s stat) stop(ctx context.Context, deadline time.Time) error {
	p, err := hold(s.identity)
	if err != nil {
		return nil
	}
	defer p.release()
	if err := p.signal(unix.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(deadline)):
		return p.kill()
	}
}
