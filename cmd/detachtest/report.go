//go:build linux

package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// Results are what a report in any format is made of: rows against launchers.
// No format knows which rows there are.
type results struct {
	launchers []launcher
	rows      []row
	// verdicts are by column, then by row.
	verdicts [][]verdict
	// controls are the verdicts on the tester itself, one a launcher.
	controls []verdict
	survived bool
	clean    bool // no check found anything bad
	require  bool // what was not run is a failure
	strict   bool // what a check found bad is a failure
	runs     int  // how often everything was run
	took     time.Duration
	at       time.Time // when it was begun
}

// A row is one thing that every launcher is put to.
type row struct {
	kind string // rows of one kind stand together
	name string
	who  string // a sentence
}

// The kinds of rows.
const (
	kindDeath = "death"
	kindCheck = "check"
)

// kindTitle heads the rows of a kind.
func kindTitle(kind string) string {
	if kind == kindCheck {
		return "Hygiene"
	}
	return "Deaths of the manager"
}

// newReport takes what a matrix has come to; before it was run, only what it
// is made of.
func newReport(m *matrix) *results {
	r := &results{launchers: m.launchers, controls: m.controls, survived: m.survived(), clean: m.clean(), require: m.require, runs: 1}
	for _, d := range m.deaths {
		r.rows = append(r.rows, row{kindDeath, d.name, d.who})
	}
	for _, c := range m.checks {
		r.rows = append(r.rows, row{kindCheck, c.name, c.who})
	}
	for column := range m.launchers {
		if len(m.controls) == 0 {
			break
		}
		var verdicts []verdict
		for row := range m.deaths {
			verdicts = append(verdicts, m.verdict(column, row))
		}
		for row := range m.checks {
			verdicts = append(verdicts, m.finding(column, row))
		}
		r.verdicts = append(r.verdicts, verdicts)
	}
	return r
}

// The formats of a report.
const (
	formatTable    = "table"
	formatJSON     = "json"
	formatTAP      = "tap"
	formatJUnit    = "junit"
	formatMarkdown = "markdown"
	formatHTML     = "html"
	formatExpect   = "expect"
)

var formats = map[string]func(io.Writer, *results) error{
	formatTable:    func(w io.Writer, r *results) error { return writeTable(w, r, style{}) },
	formatJSON:     writeJSON,
	formatTAP:      writeTAP,
	formatJUnit:    writeJUnit,
	formatMarkdown: writeMarkdown,
	formatHTML:     writeHTML,
	formatExpect:   writeExpect,
}

// A cell is how an outcome looks, and what it counts as.
type cell struct {
	sign, colour string
	words        string
	grade        grade
}

// A grade is what an outcome counts as.
type grade int

const (
	neither grade = iota // there was nothing to win
	passed
	failed
)

var cells = map[outcome]cell{
	survived:     {"✓", green, "survived", passed},
	died:         {"✗", red, "died", failed},
	frozen:       {"✗", red, "frozen", failed},
	doomed:       {"✗", faint, "nothing survives it", neither},
	launchFailed: {"–", red, "launch failed", failed},
	notRun:       {"–", faint, "not run", neither},
	good:         {"✓", green, "good", passed},
	bad:          {"✗", yellow, "bad", failed},
	flaky:        {"≈", yellow, "differs from run to run", failed},
}

// The colours of a terminal.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
)

// fails tells whether the outcome is one that nobody wants.
func (v verdict) fails() bool { return cells[v.Outcome].grade == failed }

// fails tells whether a verdict is one because of which detachtest fails.
func (r *results) fails(column, row int) bool {
	v := r.verdicts[column][row]
	return (v.fails() || r.require && v.Outcome == notRun) && !r.tolerates(row)
}

// tolerates tells whether a row is one because of which detachtest does not
// fail.
func (r *results) tolerates(row int) bool { return r.rows[row].kind == kindCheck && !r.strict }

// words says what there is to say besides the outcome.
func (v verdict) words() string {
	return printable(strings.Join(slices.DeleteFunc([]string{v.Why, v.Found, v.Note}, func(s string) bool { return s == "" }), "; "))
}

// text says the outcome and all there is to say of it. Why something failed
// says that it did.
func (v verdict) text() string {
	outcome, words := cells[v.Outcome].words, v.words()
	switch {
	case words == "":
		return outcome
	case v.fails():
		return words
	default:
		return outcome + ": " + words
	}
}

// score tells how many rows of a kind were passed, of those where there was
// something to win.
func (r *results) score(column int, kind string) (won, of int) {
	for i, v := range r.verdicts[column] {
		if r.rows[i].kind != kind {
			continue
		}
		switch cells[v.Outcome].grade {
		case passed:
			won, of = won+1, of+1
		case failed:
			of++
		}
	}
	return won, of
}

// reasons says why each probe did not survive, and what was odd about a death.
// A launch that failed for every death is told once.
func (r *results) reasons() []string {
	var lines []string
	for column, l := range r.launchers {
		if c := r.controls[column]; c.Outcome == launchFailed {
			lines = append(lines, printable(l.name+": "+c.Why))
			continue
		}
		for i, v := range r.verdicts[column] {
			for _, words := range []string{v.Why, v.Note} {
				if words != "" && v.Outcome == notRun {
					words = cells[notRun].words + ": " + words
				}
				if words != "" {
					lines = append(lines, printable(fmt.Sprintf("%s, %s: %s", l.name, r.rows[i].name, words)))
				}
			}
		}
	}
	return lines
}

// printable replaces what would harm a terminal or a format: a launcher may
// have written anything.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

// machine says in words where this was run.
func machine() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return runtime.GOARCH
	}
	return fmt.Sprintf("Linux %s, %s, %d CPUs",
		unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:]), runtime.NumCPU())
}
