package detach

import (
	"slices"
	"strings"
)

// cookies are the variables by which CI runners find what a job has left.
var cookies = []string{
	// Jenkins kills what has all the variables that it knows the job by
	// (killAll in hudson/util/ProcessTree.java): JENKINS_SERVER_COOKIE and
	// BUILD_ID of a freestyle job (getCharacteristicEnvVars in
	// hudson/model/Job.java and Run.java), JENKINS_NODE_COOKIE of a pipeline
	// (ExecutorStepExecution.java of workflow-durable-task-step), HUDSON_COOKIE
	// of a single process (hudson/Launcher.java); and two by names of old. The
	// agent of BlueKing CI kills by BUILD_ID, PROJECT_ID and VM_SEQ_ID together
	// (KillBuildProcessTree.kt).
	"BUILD_ID", "HUDSON_COOKIE", "HUDSON_SERVER_COOKIE", "JENKINS_COOKIE", "JENKINS_NODE_COOKIE", "JENKINS_SERVER_COOKIE",
	// GitHub Actions: src/Runner.Worker/JobExtension.cs in actions/runner.
	"RUNNER_TRACKING_ID",
	// Azure Pipelines: src/Agent.Worker/JobExtension.cs in
	// microsoft/azure-pipelines-agent.
	"VSTS_PROCESS_LOOKUP_ID",
}

// Cookies returns the names of the variables by which known CI runners (Jenkins,
// GitHub Actions, Azure Pipelines) find and kill the processes that a job has
// left.
func Cookies() []string { return slices.Clone(cookies) }

// WithoutCookies returns an environment without them, for a daemon that is to
// outlive the job. That it may is for whoever runs the CI to say.
func WithoutCookies(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(cookies, name)
	})
}
