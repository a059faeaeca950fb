//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A matrix that is as it was is no news, whatever it is; one that is not is.
func TestExpect(t *testing.T) {
	known := filepath.Join(t.TempDir(), "known.expect")
	launchers := []string{"-L", "piped & so on=env", "-L", "null=shell:exec {} >/dev/null 2>&1"}
	run := detachtest(t, append([]string{"--only", "sigkill,hangup", "--output", known, "--format", "expect"}, launchers...)...)
	require.Equal(t, 1, run.status)
	content, err := os.ReadFile(known)
	require.NoError(t, err)
	require.Equal(t, expectHead+`
died           sigkill  piped & so on
died           hangup   piped & so on

survived       sigkill  null
died           hangup   null
`, string(content))
	require.Equal(t, string(content), run.stdout)

	same := append([]string{"--only", "sigkill,hangup", "--expect", known}, launchers...)
	require.Equal(t, testRun{}, detachtest(t, same...))
	// What is left out on purpose is not missing.
	require.Equal(t, testRun{}, detachtest(t, append([]string{"--skip", "hangup"}, same...)...))

	wrong := strings.Replace(string(content), "survived       sigkill  null", "frozen sigkill null\ndied sigkill gone", 1)
	wrong = strings.Replace(wrong, "died           hangup   piped & so on\n", "", 1)
	require.NoError(t, os.WriteFile(known, []byte(wrong), 0o644))
	html := filepath.Join(t.TempDir(), "whole.html")
	run = detachtest(t, append(same, "--output", html)...)
	require.Equal(t, 1, run.status)
	require.Regexp(t, `^piped & so on, hangup: died, not expected at all: died of SIG.*
null, sigkill: survived, not frozen
gone, sigkill: missing, not died
$`, run.stdout)
	require.FileExists(t, html)
}

func TestExpectErrors(t *testing.T) {
	for content, message := range map[string]string{
		"died sigkill":         `"died sigkill" is not OUTCOME ROW LAUNCHER`,
		"killed sigkill nohup": `"killed sigkill nohup" is not OUTCOME ROW LAUNCHER`,
		"died a b\ndied  a  b": "b, a stands there twice",
	} {
		file := writeFile(t, "file", content)
		run := detachtest(t, "--expect", file, "--", "env")
		require.Equal(t, 125, run.status)
		require.Contains(t, run.stderr, message)
		require.Contains(t, run.stderr, file+":")
	}
	require.Equal(t, 125, detachtest(t, "--expect", "/nonexistent/file", "--", "env").status)
}
