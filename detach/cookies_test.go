package detach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each is the name by which a runner finds what it kills: see Cookies.
func TestWithoutCookies(t *testing.T) {
	env := []string{"PATH=/bin", "BUILD_ID_X=1", "JOB_NAME=x", "EMPTY="}
	var all []string
	for _, name := range []string{
		"BUILD_ID", "HUDSON_COOKIE", "HUDSON_SERVER_COOKIE", "JENKINS_COOKIE", "JENKINS_NODE_COOKIE", "JENKINS_SERVER_COOKIE",
		"RUNNER_TRACKING_ID", "VSTS_PROCESS_LOOKUP_ID",
	} {
		all = append(all, name+"=1", name+"=")
	}
	all = append(all, env...)
	before := append([]string{}, all...)
	require.Equal(t, env, WithoutCookies(all))
	require.Equal(t, before, all)
	require.NotSame(t, &cookies[0], &Cookies()[0], "a copy")
}
