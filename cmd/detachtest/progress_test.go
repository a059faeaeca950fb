//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// A screen is what a terminal of some size shows, as far as the program needs
// one: it knows the cursor's way up, and what happens at the edges.
type screen struct {
	t             *testing.T
	width, height int
	lines         [][]rune
	row, column   int
	noWrap        bool
	seen          map[string]bool // every state of it, after each write
}

var escape = regexp.MustCompile(`^\x1b\[(\??)([0-9]*)([A-Za-z])`)

func (s *screen) show(output string) {
	s.lines, s.seen = [][]rune{nil}, map[string]bool{}
	for output != "" {
		if m := escape.FindStringSubmatch(output); m != nil {
			s.obey(m[1]+m[3], m[2])
			output = output[len(m[0]):]
			continue
		}
		r := []rune(output)[0]
		output = output[len(string(r)):]
		switch r {
		case '\r':
			s.column = 0
		case '\n':
			s.down()
		default:
			s.put(r)
		}
	}
}

func (s *screen) obey(command, parameter string) {
	switch command {
	case "A":
		n, err := strconv.Atoi(parameter)
		require.NoError(s.t, err)
		// Above the screen there is nothing to go to.
		require.GreaterOrEqual(s.t, s.row-n, max(0, len(s.lines)-s.height))
		s.row -= n
	case "J":
		require.Zero(s.t, s.column)
		s.seen[s.text()] = true
		s.lines = append(s.lines[:s.row:s.row], nil)
	case "?l", "?h":
		s.noWrap = command == "?l"
	case "m":
	default:
		s.t.Fatalf("escape %q", command)
	}
}

func (s *screen) down() {
	s.row++
	if s.row == len(s.lines) {
		s.lines = append(s.lines, nil)
	}
}

func (s *screen) put(r rune) {
	if s.column == s.width {
		if s.noWrap {
			return
		}
		s.down()
		s.column = 0
	}
	line := s.lines[s.row]
	for len(line) <= s.column {
		line = append(line, ' ')
	}
	line[s.column] = r
	s.lines[s.row] = line
	s.column++
}

func (s *screen) text() string {
	var lines []string
	for _, line := range s.lines {
		lines = append(lines, string(line))
	}
	return strings.Join(lines, "\n")
}

// everSaw tells whether it ever showed something.
func (s *screen) everSaw(what string) bool {
	for text := range s.seen {
		if strings.Contains(text, what) {
			return true
		}
	}
	return false
}

// inTerminal runs detachtest in a terminal, with standard output elsewhere if
// that is not nil.
func inTerminal(t *testing.T, width, height int, stdout io.Writer, args ...string) *screen {
	t.Helper()
	temporary := temporaryFolder(t)
	cmd := exec.Command(lab.Bin(t, "detachtest"), args...)
	cmd.Env = append(cmd.Environ(), "TMPDIR="+temporary, "TERM=xterm", "NO_COLOR=")
	cmd.Stdout = stdout
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)})
	require.NoError(t, err)
	defer func() { _ = master.Close() }()
	output, _ := io.ReadAll(master) // ends with EIO, at the end of all in the terminal
	_ = cmd.Wait()                  // the status is looked at below
	require.Equal(t, 1, cmd.ProcessState.ExitCode(), "%s", output)
	requireNothingLeft(t, temporary)
	s := &screen{t: t, width: width, height: height}
	s.show(string(output))
	return s
}

var progressArgs = []string{"--only", "sigkill,sigkill-group", "-L", "null=shell:exec {} >/dev/null 2>&1", "-L", "piped=env"}

// The table fills while the trials run, and the report takes its place.
func TestProgress(t *testing.T) {
	s := inTerminal(t, 60, 24, nil, progressArgs...)
	require.True(t, s.everSaw("…") || s.everSaw("·"), s.seen)
	require.Regexp(t, `^               null  piped
sigkill        ✓     ✗
sigkill-group  ✗     ✗

null, sigkill-group: died of `, s.text())
	require.NotContains(t, s.text(), "done, now")
	require.True(t, s.everSaw(" of 6 done, now "), s.seen)
}

// Where the table is too high for the terminal there is a line, and where it is
// too wide it does not wrap.
func TestProgressInASmallTerminal(t *testing.T) {
	s := inTerminal(t, 30, 3, nil, append([]string{"--repeat", "2"}, progressArgs...)...)
	require.True(t, s.everSaw("run 2 of 2: "), s.seen)
	require.False(t, s.everSaw("·"), s.seen)
	require.True(t, strings.HasPrefix(s.text(), "               null  piped\n"), s.text())

	s = inTerminal(t, 20, 24, nil, append([]string{"-L", "a-name-of-its-own=env"}, progressArgs...)...)
	require.True(t, strings.HasPrefix(s.text(), "1  a-name-of-its-own\n2  null\n3  piped\n\n"+strings.Repeat(" ", 13)+"  1  2\n"), s.text())
}

// Progress is drawn where standard output is a file, but not into the file.
func TestProgressBesideAFile(t *testing.T) {
	var stdout bytes.Buffer
	s := inTerminal(t, 60, 24, &stdout, progressArgs...)
	require.True(t, s.everSaw(" of 6 done, now "), s.seen)
	require.Empty(t, strings.TrimSpace(s.text()))
	require.True(t, strings.HasPrefix(stdout.String(), "               null  piped\nsigkill        ✓     ✗\n"), stdout.String())
	require.NotContains(t, stdout.String(), "\x1b")
}

func TestColourIsDeclined(t *testing.T) {
	master, slave, err := pty.Open()
	require.NoError(t, err)
	defer func() { _, _ = master.Close(), slave.Close() }()
	require.NoError(t, pty.Setsize(master, &pty.Winsize{Cols: 33, Rows: 9}))
	t.Setenv("NO_COLOR", "")
	require.Equal(t, style{colour: true, width: 33}, styleOf(slave))
	t.Setenv("NO_COLOR", "1")
	require.Equal(t, style{width: 33}, styleOf(slave))
	o := &options{format: formatTable}
	require.Equal(t, slave, progressTerminal(o, slave, io.Discard))
	require.Nil(t, progressTerminal(&options{format: formatTAP}, slave, io.Discard))
	t.Setenv("TERM", "dumb")
	require.Nil(t, progressTerminal(o, slave, slave))

	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	require.Equal(t, style{}, styleOf(file))
	t.Setenv("COLUMNS", "70")
	require.Equal(t, style{width: 70}, styleOf(file))
}
