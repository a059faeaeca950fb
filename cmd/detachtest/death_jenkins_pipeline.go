//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
)

// nodeCookie is ExecutorStepExecution.COOKIE_VAR of the plug-in
// workflow-durable-task-step.
const nodeCookie = "JENKINS_NODE_COOKIE"

// jenkinsPipeline does what that plug-in does when the body of a node step has
// ended: it has Jenkins core kill, as at the end of another job's build, by the
// one variable that it has put into the environment of all steps in there. The
// plug-in durable-task, which runs the steps sh, has replaced the cookie of
// Jenkins itself by one of the workspace's, so the build's other
// characteristic variables do not count.
var jenkinsPipeline = death{
	name: "jenkins-pipeline",
	who:  "Jenkins at the end of a Pipeline's node block: whatever has its JENKINS_NODE_COOKIE in the environment gets SIGTERM, and SIGKILL after 5 s.",
	prepare: func(s *stage) error {
		const number, job = "7", "detachtest"
		s.cookies = map[string]string{
			nodeCookie:              newCookie(),
			"JENKINS_SERVER_COOKIE": fmt.Sprintf("durable-%x", sha256.Sum256([]byte(s.nest.dir))),
			"JOB_NAME":              job,
			"JOB_BASE_NAME":         job,
			"BUILD_NUMBER":          number,
			"BUILD_ID":              number,
			"BUILD_TAG":             "jenkins-" + job + "-" + number,
		}
		return nil
	},
	deal: func(ctx context.Context, s *stage) error {
		return s.killByCookies(ctx, map[string]string{nodeCookie: s.cookies[nodeCookie]})
	},
	by: "cookie",
}
