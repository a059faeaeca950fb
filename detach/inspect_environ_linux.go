package detach

import (
	"slices"
	"strconv"
	"strings"
)

const wantEnvironment = "nothing that speaks of another process"

// checkEnvironment looks for what Environ leaves out. It sees what the program
// was executed with, unless the program has written over that.
func (in *inspection) checkEnvironment() Check {
	if in.environErr != nil {
		return unknown("environment", wantEnvironment, in.environErr)
	}
	c := Check{Name: "environment", OK: true, Got: "nothing that speaks of another process", Want: wantEnvironment}
	var found []string
	for _, name := range managerOnly {
		if value, ok := lookupEnv(in.environ, name); ok && !in.speaksOfItself(name, value) {
			found = append(found, name)
		}
	}
	if len(found) > 0 {
		c.OK, c.Got = false, enumerate(found)
	}
	return c
}

// speaksOfItself tells whether a variable of managerOnly is about the process.
func (in *inspection) speaksOfItself(name, value string) bool {
	switch name {
	case "LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID":
		return value == in.pidHere()
	case "LISTEN_FDS", "LISTEN_FDNAMES":
		pid, ok := lookupEnv(in.environ, "LISTEN_PID")
		return ok && pid == in.pidHere()
	case "NOTIFY_SOCKET":
		return in.service || isAutobound(value)
	case "JOURNAL_STREAM":
		return slices.ContainsFunc(in.streams[:], in.isJournal)
	case "MAINPID":
		return value == in.pidHere()
	}
	return in.service
}

// isAutobound tells whether the address of a socket is one that the kernel has
// chosen: "@" and five hexadecimal digits, see unix(7). Start makes such a one
// to wait for this daemon; a service manager has one with a name.
func isAutobound(address string) bool {
	return len(address) == 6 && address[0] == '@' && strings.Trim(address[1:], "0123456789abcdef") == ""
}

// pidHere is the PID of the process as it sees it itself, in its own PID
// namespace.
func (in *inspection) pidHere() string {
	if n := len(in.status.NSpid); n > 0 {
		return strconv.Itoa(in.status.NSpid[n-1])
	}
	return strconv.Itoa(in.pid)
}

// ciVariables are those by which a CI runner finds the processes of a job that
// has ended, unless their values say that it must not. Jenkins looks for
// JENKINS_NODE_COOKIE in a pipeline, and in other jobs for JENKINS_SERVER_COOKIE
// and BUILD_ID together (hudson.util.ProcessTree); the runner of GitHub Actions
// for RUNNER_TRACKING_ID, that of Azure Pipelines for VSTS_PROCESS_LOOKUP_ID.
func ciVariables(env []string) []string {
	var found []string
	harmful := func(name string) bool {
		value, _ := lookupEnv(env, name)
		return value != "" && !strings.EqualFold(value, "dontKillMe")
	}
	if harmful("JENKINS_NODE_COOKIE") {
		found = append(found, "JENKINS_NODE_COOKIE")
	}
	if _, ok := lookupEnv(env, "BUILD_ID"); harmful("JENKINS_SERVER_COOKIE") && (!ok || harmful("BUILD_ID")) {
		found = append(found, "JENKINS_SERVER_COOKIE")
		if ok {
			found = append(found, "BUILD_ID")
		}
	}
	// The job's own begins like this; another value is none, and 0 in use for that.
	if value, _ := lookupEnv(env, "RUNNER_TRACKING_ID"); strings.HasPrefix(value, "github_") {
		found = append(found, "RUNNER_TRACKING_ID")
	}
	if value, _ := lookupEnv(env, "VSTS_PROCESS_LOOKUP_ID"); strings.HasPrefix(value, "vsts_") {
		found = append(found, "VSTS_PROCESS_LOOKUP_ID")
	}
	return found
}
