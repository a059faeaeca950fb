package ci

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

func TestMain(m *testing.M) {
	status := m.Run()
	lab.RemoveBuilt()
	os.Exit(status)
}

func TestGitHubActions(t *testing.T) {
	type step struct {
		Uses, Run, If string
		With          map[string]string
	}
	var workflow struct {
		Name string
		Jobs map[string]struct {
			RunsOn string `yaml:"runs-on"`
			Steps  []step
		}
	}
	parse(t, "github-actions.yml", &workflow)
	job := workflow.Jobs["detachtest"]
	require.NotEmpty(t, job.RunsOn)
	runner := newRunner(t)
	for _, s := range job.Steps {
		require.NotEqual(t, s.Run == "", s.Uses == "", "a step does one thing")
		require.NotContains(t, s.Run, "${{")
		if s.Run != "" {
			runner.run("bash", "-eo", "pipefail", "-c", s.Run) // as the runner does
		}
		if strings.HasPrefix(s.Uses, "actions/upload-artifact@") {
			runner.requirePage(s.With["path"])
		}
	}
	summary, err := os.ReadFile(runner.summary)
	require.NoError(t, err)
	require.Contains(t, string(summary), "| sigkill | ✓ |")
}

func TestGitLabCI(t *testing.T) {
	var pipeline map[string]struct {
		Image     string
		Script    []string
		Artifacts struct {
			When    string
			Paths   []string
			Reports map[string]string
		}
	}
	parse(t, "gitlab-ci.yml", &pipeline)
	job := pipeline["detachtest"]
	require.NotEmpty(t, job.Image)
	runner := newRunner(t)
	runner.run("bash", "-eo", "pipefail", "-c", strings.Join(job.Script, "\n"))
	require.Equal(t, "always", job.Artifacts.When)
	require.Len(t, job.Artifacts.Paths, 1)
	runner.requirePage(job.Artifacts.Paths[0])
	runner.requireJUnit(job.Artifacts.Reports["junit"])
}

// The shell steps of a Jenkinsfile, in both quotes of Groovy that leave $ alone.
var (
	shellStep = regexp.MustCompile(`(?s)\bsh (?:'''(.*?)'''|'([^'\n]*)')`)
	junitStep = regexp.MustCompile(`\bjunit '([^']*)'`)
	archive   = regexp.MustCompile(`\barchiveArtifacts '([^']*)'`)
)

func TestJenkinsfile(t *testing.T) {
	data, err := os.ReadFile("Jenkinsfile")
	require.NoError(t, err)
	requireBalanced(t, string(data))
	runner := newRunner(t)
	steps := shellStep.FindAllStringSubmatch(string(data), -1)
	require.Len(t, steps, strings.Count(string(data), "sh '"))
	for _, step := range steps {
		script := strings.ReplaceAll(step[1]+step[2], "\\\n", "") // Groovy joins lines
		runner.run("sh", "-xe", "-c", script)                     // as Jenkins does
	}
	runner.requireJUnit(junitStep.FindStringSubmatch(string(data))[1])
	runner.requirePage(archive.FindStringSubmatch(string(data))[1])
}

// requireBalanced shows that every brace and parenthesis outside of strings and
// comments is closed.
func requireBalanced(t *testing.T, groovy string) {
	t.Helper()
	literal := regexp.MustCompile(`(?s)'''.*?'''|'[^'\n]*'|//[^\n]*`)
	var open []rune
	for _, r := range literal.ReplaceAllString(groovy, "") {
		switch r {
		case '{', '(':
			open = append(open, r)
		case '}', ')':
			require.NotEmpty(t, open)
			require.Equal(t, map[rune]rune{'}': '{', ')': '('}[r], open[len(open)-1])
			open = open[:len(open)-1]
		}
	}
	require.Empty(t, open)
	require.NotContains(t, literal.ReplaceAllString(groovy, ""), "'")
}

func parse(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, into))
}

// A runner runs the commands of a job in a checkout of its own, where a project
// has a manager that detaches what it starts.
type runner struct {
	t        *testing.T
	checkout string
	summary  string
	env      []string
}

// goCommand stands for go, which is to fetch what has been built already.
const goCommand = `#!/bin/sh
case "$*" in
"install github.com/detachkit/detach/cmd/detachtest@latest") mkdir -p "$GOPATH/bin" && cp "$DETACHTEST" "$GOPATH/bin/detachtest" ;;
"env GOPATH") echo "$GOPATH" ;;
*) echo "go $*: not expected" >&2; exit 1 ;;
esac
`

const manager = `#!/bin/sh
setsid -f "$DETACHTEST_PROBE" >/dev/null 2>&1
exec sleep 1000
`

func newRunner(t *testing.T) *runner {
	t.Helper()
	for _, program := range []string{"bash", "setsid"} {
		lab.Program(t, program)
	}
	home := t.TempDir()
	r := &runner{t: t, checkout: filepath.Join(home, "checkout"), summary: filepath.Join(home, "summary.md")}
	tools := filepath.Join(home, "tools")
	for path, content := range map[string]string{
		filepath.Join(tools, "go"):              goCommand,
		filepath.Join(r.checkout, "manager.sh"): manager,
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o755))
	}
	gopath := filepath.Join(home, "go")
	r.env = append(os.Environ(), "DETACHTEST="+lab.Bin(t, "detachtest"), "GOPATH="+gopath,
		"GITHUB_STEP_SUMMARY="+r.summary, "PATH="+tools+":"+filepath.Join(gopath, "bin")+":"+os.Getenv("PATH"))
	return r
}

// run runs a command of the job.
func (r *runner) run(command ...string) {
	r.t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = r.checkout, r.env
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "%s\n%s", command, out)
}

func (r *runner) requirePage(path string) {
	r.t.Helper()
	page, err := os.ReadFile(filepath.Join(r.checkout, path))
	require.NoError(r.t, err)
	require.Contains(r.t, string(page), "./manager.sh")
}

func (r *runner) requireJUnit(path string) {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.checkout, path))
	require.NoError(r.t, err)
	var report struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
		} `xml:"testsuite"`
	}
	require.NoError(r.t, xml.Unmarshal(data, &report))
	require.Len(r.t, report.Suites, 1)
	require.Positive(r.t, report.Suites[0].Tests)
	require.Zero(r.t, report.Suites[0].Failures)
}
