//go:build linux

package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// make matrix sets it.
var update = flag.Bool("update", false, "pin the matrix as it is now, and write the README's table from it")

const (
	pinnedFile = "testdata/matrix.expect"
	readmeFile = "../../README.md"
)

// Everything that this project says of itself and of others: the binary, the
// package, and each launcher that is known, under a real systemd. It is pinned,
// so that no death can come to be survived, or not, without a line in the diff.
func TestOurMatrix(t *testing.T) {
	for _, k := range knownLaunchers() {
		switch k.name {
		case "detach": // is built
		case "systemd-run":
			lab.Program(t, k.name) // usable in the lab
		default:
			if !k.usable {
				lab.Skip(t, k.name+" does not work here")
			}
		}
	}
	manager := lab.Build(t, "detach/lab/manager")
	folder := filepath.Dir(manager)
	launchers := filepath.Join(folder, "launchers")
	require.NoError(t, os.WriteFile(launchers, fmt.Appendf(nil, "detach=%[1]s --\ndetach --outlive-ci=%[1]s --outlive-ci --\ndetach --via fork=%[1]s --via fork --\npackage=manager:%[2]s\n", lab.Bin(t, "detach"), manager), 0o644))

	pinned, err := filepath.Abs(pinnedFile)
	require.NoError(t, err)
	args := []string{lab.Bin(t, "detachtest"), "--compare", launchers, "--compare-known"}
	actual := filepath.Join(folder, "actual.expect")
	require.NoError(t, os.WriteFile(actual, nil, 0o644)) // the lab is to see its folder
	args = append(args, "--output", actual)
	if *update {
		args = append(args, "--repeat", "2")
	} else {
		args = append(args, "--expect", pinned)
	}
	cmd := lab.Systemd(t, slices.Concat([]string{"sh", "-c", strictLogind + `exec "$0" "$@"`}, args)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if !*update {
		require.NoError(t, err, "where this is meant to differ, make matrix pins it\n%s%s", stdout, &stderr)
		require.Empty(t, stdout)
		return
	}
	require.Equal(t, statusDied, cmd.ProcessState.ExitCode(), "%s%s", stdout, &stderr) // a plain child dies
	matrix, err := os.ReadFile(actual)
	require.NoError(t, err)
	require.NotContains(t, string(matrix), flaky, "%s", stdout)
	require.NoError(t, os.WriteFile(pinned, matrix, 0o644))
	readme, err := os.ReadFile(readmeFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(readmeFile, []byte(withTable(t, string(readme))), 0o644))
}

// The README's table is the pinned matrix.
func TestREADMEIsNotStale(t *testing.T) {
	readme, err := os.ReadFile(readmeFile)
	require.NoError(t, err)
	require.Equal(t, withTable(t, string(readme)), string(readme), "make matrix writes it")
}

// Where the table stands in the README.
const (
	tableBegin = "<!-- made by make matrix -->\n"
	tableEnd   = "<!-- end of what make matrix makes -->\n"
)

// withTable returns the README with the table of the pinned matrix.
func withTable(t *testing.T, readme string) string {
	t.Helper()
	expected, err := readExpect(pinnedFile)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(readme, tableBegin)
	require.True(t, ok, "no %q", tableBegin)
	_, tail, ok := strings.Cut(rest, tableEnd)
	require.True(t, ok, "no %q", tableEnd)
	return head + tableBegin + markdownTable(expectedResults(expected)) + tableEnd + tail
}

// expectedResults returns what is expected, as if it had been run.
func expectedResults(expected []expectation) *results {
	r := &results{}
	for _, e := range expected {
		column := slices.IndexFunc(r.launchers, func(l launcher) bool { return l.name == e.launcher })
		if column < 0 {
			column = len(r.launchers)
			r.launchers = append(r.launchers, launcher{name: e.launcher})
			r.verdicts = append(r.verdicts, nil)
		}
		if column == 0 {
			kind := kindDeath
			if slices.ContainsFunc(checks, func(c check) bool { return c.name == e.row }) {
				kind = kindCheck
			}
			r.rows = append(r.rows, row{kind: kind, name: e.row})
		}
		r.verdicts[column] = append(r.verdicts[column], verdict{Outcome: e.outcome})
	}
	return r
}

// What is pinned holds every death and every check there is, for the binary and the package,
// and no launcher that nothing kills or everything does stands alone.
func TestPinnedMatrixIsWhole(t *testing.T) {
	expected, err := readExpect(pinnedFile)
	require.NoError(t, err)
	r := expectedResults(expected)
	for _, verdicts := range r.verdicts {
		require.Len(t, verdicts, len(r.rows))
	}
	var names []string
	for _, l := range r.launchers {
		names = append(names, l.name)
	}
	require.Subset(t, names, []string{"detach", "package"})
	for _, k := range knownLaunchers() {
		require.Contains(t, names, k.name)
	}
	var rows []string
	for _, d := range deaths {
		rows = append(rows, d.name)
	}
	for _, c := range checks {
		rows = append(rows, c.name)
	}
	for _, name := range rows {
		require.True(t, slices.ContainsFunc(r.rows, func(row row) bool { return row.name == name }), "%s is not pinned: make matrix", name)
	}
}
