//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// writeFile writes a file in a folder of the test's own and returns its path.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o755))
	return path
}

// Launchers come from the command line, then from --launcher, then from files.
func TestCompare(t *testing.T) {
	file := writeFile(t, "launchers", `# what we might use
 piped = env

null=shell:exec {} >/dev/null 2>&1  # and no more
mine=manager: shell: "$DETACHTEST_PROBE" >/dev/null 2>&1 & exec sleep 1000
`)
	r, _ := report(t, "--only", "sigkill", "-L", "named=env", "--compare", file, "--", "env", "X=1")
	require.Equal(t, []string{"env X=1", "named", "piped", "null", "mine"}, r.Launchers)
	for i, want := range []outcome{died, died, died, survived, survived} {
		require.Equal(t, want, r.Verdicts[i].Outcome, "%+v", r.Verdicts[i])
	}
}

func TestCompareErrors(t *testing.T) {
	bad := writeFile(t, "bad", "a=env\n\nnonsense\n")
	twice := writeFile(t, "twice", "a=env\nb=env\na=nohup\n")
	for message, args := range map[string][]string{
		bad + `:3: launcher "nonsense" is not NAME=COMMAND`:                           {"--compare", bad},
		`two launchers are called "a"`:                                                {"--compare", twice},
		`two launchers are called "b"`:                                                {"--compare", twice, "-L", "b=env"},
		"open /nonexistent/file: no such file or directory":                           {"-c", "/nonexistent/file"},
		`launcher "a=shell:" is not NAME=COMMAND`:                                     {"-L", "a=shell:"},
		`output "x.doc" ends in none of .txt, .json, .tap, .xml, .md, .html, .expect`: {"-O", "x.doc", "--", "env"},
		"0 runs are not positive":                                                     {"-n", "0", "--", "env"},
	} {
		run := detachtest(t, args...)
		require.Equal(t, 125, run.status, args)
		require.Empty(t, run.stdout)
		require.Equal(t, "detachtest: "+message+"\nhint: detachtest --help shows how it is used\n", run.stderr)
	}
}

// What a launcher of a known name comes to, where it is installed, is known.
func TestCompareKnown(t *testing.T) {
	lab.Program(t, "setsid")
	lab.Program(t, "nohup")
	run := detachtest(t, "--only", "sigterm-group", "--format", "expect", "--compare-known", "-L", "setsid -f=env")
	require.Equal(t, 1, run.status, run.stderr)
	lines := map[string]string{
		"child": "died", "sh &": "died", "nohup &": "died", "setsid": "survived",
		"setsid -f": "died", // the user's own is meant
	}
	for name, outcome := range lines {
		require.Regexp(t, `(?m)^`+outcome+` +sigterm-group +`+name+`$`, run.stdout)
	}
	if os.Getenv(lab.BinVariable) != "" { // else it is built in a folder of its own
		require.Regexp(t, `(?m)^survived +sigterm-group +detach$`, run.stdout)
	}
	if lacksSystemd() != "" {
		require.Regexp(t, `^detachtest: not found here: .*systemd-run`, run.stderr)
	}
	require.NotContains(t, run.stdout, string(launchFailed), "what is found works")
}

func TestOwnDetachIsFoundInPath(t *testing.T) {
	path := writeFile(t, "detach", "#!/bin/sh\n")
	t.Setenv("PATH", filepath.Dir(path))
	require.Equal(t, path, ownDetach()) // there is none beside the test binary
	require.False(t, isLibslackDaemon())
	require.False(t, inPath("detach", "no-such-program"))
	require.True(t, inPath("detach"))
}
