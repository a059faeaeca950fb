package detach_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/detachkit/detach/"

// A manager that imports this package links the standard library and
// golang.org/x/sys/unix, and nothing else.
func TestDependencies(t *testing.T) {
	const unix = "golang.org/x/sys/unix"
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	require.NoError(t, err)
	for path := range strings.FieldsSeq(string(out)) {
		if path != unix {
			require.True(t, strings.HasPrefix(path, module), path)
			require.NotContains(t, path, "/lab", "the test bench is for tests")
		}
	}
}

// D-Bus comes with the package systemd, which nobody else has to import.
func TestDependenciesOfSystemd(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./systemd").Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "github.com/godbus/dbus/v5\n", "the other test would see it")
	for path := range strings.FieldsSeq(string(out)) {
		require.NotEqual(t, module+"detach", path, "the driver stands beside the package")
	}
}

// Each package of the module says in one place what it is for.
func TestPackagesAreDocumented(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}: {{.Doc}}", module+"...").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		path, doc, _ := strings.Cut(strings.TrimSpace(line), ": ")
		require.NotEmpty(t, doc, path)
	}
}
