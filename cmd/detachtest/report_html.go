//go:build linux

package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
)

//go:embed report.html
var pageSource string

// page is the one page, with all that belongs to it: it loads nothing.
var page = template.Must(template.New("report.html").Parse(pageSource))

// What the page shows.
type (
	pageView struct {
		Title, Summary, Machine, Version, At, Took string
		Runs                                       int
		Columns                                    []columnView
		Kinds                                      []kindView
		Legend                                     []cellView
	}
	// A columnView is a launcher with all it came to.
	columnView struct {
		ID, Name, Command string
		How               string // what kind of command it is
		Failed            string // why it launches nothing
		Score             string
		Perfect, Best     bool
		Open              bool
		Cells             []cellView
	}
	// A kindView is the rows of one kind.
	kindView struct {
		Title string
		Rows  []rowView
	}
	rowView struct {
		Name, Who string
		Cells     []cellView
	}
	// A cellView is a launcher under a row.
	cellView struct {
		ID, Launcher, Row, Who string
		Outcome                outcome
		Sign, Words            string
		Text                   string // the outcome and why
		Birth                  []fact
	}
	// A fact is one thing that a probe was born with.
	fact struct {
		Name   string
		Values []string
	}
)

// writeHTML writes a page that can be looked at by itself.
func writeHTML(w io.Writer, r *results) error {
	view := pageView{
		Title:   "What survives",
		Machine: machine(),
		Version: buildVersion(),
		At:      r.at.Format("2 January 2006, 15:04 MST"),
		Took:    r.took.Round(100 * time.Millisecond).String(),
		Runs:    r.runs,
	}
	for column := range r.launchers {
		view.Columns = append(view.Columns, viewColumn(r, column))
	}
	for i, row := range r.rows {
		if i == 0 || row.kind != r.rows[i-1].kind {
			view.Kinds = append(view.Kinds, kindView{Title: kindTitle(row.kind)})
		}
		rv := rowView{Name: row.name, Who: row.who}
		for _, c := range view.Columns {
			rv.Cells = append(rv.Cells, c.Cells[i])
		}
		last := &view.Kinds[len(view.Kinds)-1]
		last.Rows = append(last.Rows, rv)
	}
	view.Summary = summary(r, view.Columns)
	view.Legend = legend(view.Columns)
	return page.Execute(w, view)
}

func viewColumn(r *results, column int) columnView {
	l := r.launchers[column]
	won, of := r.score(column, kindDeath)
	c := columnView{
		ID:      fmt.Sprintf("launcher-%d", column+1),
		Name:    printable(l.name),
		Command: printable(strings.Join(l.words, " ")),
		How:     "command",
		Score:   fmt.Sprintf("%d/%d", won, of),
		Perfect: won == of && of > 0,
		Open:    len(r.launchers) == 1,
	}
	switch {
	case l.manager:
		c.How = "manager"
	case l.shell:
		c.How = "line of sh"
	}
	if control := r.controls[column]; control.Outcome == launchFailed {
		c.Failed = printable(control.Why)
	}
	for i, v := range r.verdicts[column] {
		look := cells[v.Outcome]
		c.Cells = append(c.Cells, cellView{
			ID:       fmt.Sprintf("%s-%s", c.ID, r.rows[i].name),
			Launcher: c.Name, Row: r.rows[i].name, Who: r.rows[i].who,
			Outcome: v.Outcome, Sign: look.sign, Words: look.words, Text: v.text(),
			Birth: v.Birth.facts(),
		})
	}
	return c
}

// summary says in a sentence how it ended, and marks the best.
func summary(r *results, columns []columnView) string {
	perfect, best, most := 0, 0, -1.0
	share := func(column int) float64 {
		won, of := r.score(column, kindDeath)
		return float64(won) / float64(max(of, 1))
	}
	for i, c := range columns {
		if c.Perfect {
			perfect++
		}
		if share(i) > most {
			best, most = i, share(i)
		}
	}
	for i := range columns {
		columns[i].Best = most > 0 && share(i) == most
	}
	score := strings.ReplaceAll(columns[best].Score, "/", " of ")
	switch {
	case len(columns) > 1 && perfect == 0:
		return fmt.Sprintf("None of %d launchers kept the program alive through every death that was staged; the best came through %s.", len(columns), score)
	case len(columns) > 1:
		return fmt.Sprintf("%d of %d launchers kept the program alive through every death that was staged.", perfect, len(columns))
	case perfect == 1:
		return "The program survived every death that was staged."
	default:
		return fmt.Sprintf("The program survived %s deaths that were staged.", score)
	}
}

// legend returns one of each outcome that is on the page.
func legend(columns []columnView) []cellView {
	var seen []cellView
	for _, column := range columns {
		for _, c := range column.Cells {
			if !slices.ContainsFunc(seen, func(s cellView) bool { return s.Outcome == c.Outcome }) {
				seen = append(seen, cellView{Outcome: c.Outcome, Sign: c.Sign, Words: c.Words})
			}
		}
	}
	return seen
}

// facts returns all of a birth in words, in the order and by the names of the
// report in JSON.
func (b *birth) facts() []fact {
	if b == nil {
		return nil
	}
	var facts []fact
	fields := reflect.ValueOf(*b)
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Type().Field(i).Tag.Get("json"), ",")
		facts = append(facts, fact{strings.ReplaceAll(name, "_", " "), values(fields.Field(i))})
	}
	return facts
}

// values returns a value in words, a line for each part of it.
func values(v reflect.Value) []string {
	var lines []string
	switch v.Kind() {
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int {
			if a.CanInt() {
				return int(a.Int() - b.Int())
			}
			return strings.Compare(a.String(), b.String())
		})
		for _, key := range keys {
			lines = append(lines, printable(fmt.Sprintf("%v: %v", key, v.MapIndex(key))))
		}
	case reflect.Slice:
		for i := range v.Len() {
			lines = append(lines, printable(fmt.Sprint(v.Index(i))))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			lines = append(lines, printable(fmt.Sprintf("%s %v", name, v.Field(i))))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return values(v.Elem())
		}
	case reflect.Bool:
		lines = []string{map[bool]string{true: "yes", false: "no"}[v.Bool()]}
	default:
		lines = []string{printable(fmt.Sprint(v))}
	}
	if len(lines) == 0 || len(lines) == 1 && lines[0] == "" {
		return []string{"none"}
	}
	return lines
}
