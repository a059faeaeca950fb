package lab

import (
	"os"
	"os/exec"
	"testing"
)

// RequireVariable is the environment variable that, set to "all", turns every
// skipped test into a failed one. CI sets it: a skipped test shows nothing.
const RequireVariable = "DETACH_TEST_REQUIRE"

// Skip skips the test because of reason, or fails it where nothing may be
// skipped.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(RequireVariable) == "all" {
		t.Fatalf("%s=all, but: %s", RequireVariable, reason)
	}
	t.Skip(reason)
}

// Program returns the path of a program that the test needs, or skips.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(t, name+" is not installed")
	}
	return path
}

// Root skips the test where it does not run as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		Skip(t, "needs root")
	}
}
