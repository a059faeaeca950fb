//go:build linux

package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"
)

// The elements of a report in JUnit's XML, as far as Jenkins and GitLab read it.
type (
	junitReport struct {
		XMLName xml.Name     `xml:"testsuites"`
		Name    string       `xml:"name,attr"`
		Time    string       `xml:"time,attr"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string          `xml:"classname,attr"`
		Name    string          `xml:"name,attr"`
		Time    string          `xml:"time,attr"`
		Failure *junitResult    `xml:"failure"`
		Skipped *junitResult    `xml:"skipped"`
		Output  *junitCharacter `xml:"system-out"`
	}
	junitResult struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
	junitCharacter struct {
		Text string `xml:",chardata"`
	}
)

// writeJUnit writes a test suite for each launcher, with a test case for each
// row.
func writeJUnit(w io.Writer, r *results) error {
	out := junitReport{Name: "detachtest", Time: seconds(r.took.Seconds())}
	for column, l := range r.launchers {
		suite := junitSuite{
			Name: "detachtest." + l.name, Tests: len(r.rows),
			Timestamp: r.at.UTC().Format("2006-01-02T15:04:05"),
		}
		total := 0.0
		for i, v := range r.verdicts[column] {
			c := junitCase{Class: "detachtest." + l.name, Name: r.rows[i].name, Time: seconds(v.Seconds)}
			total += v.Seconds
			switch words := v.words(); {
			case r.fails(column, i):
				suite.Failures++
				c.Failure = &junitResult{words, string(v.Outcome), r.rows[i].who + "\n" + words}
			case cells[v.Outcome].grade == neither:
				suite.Skipped++
				c.Skipped = &junitResult{Message: words}
			case words != "":
				c.Output = &junitCharacter{words}
			}
			suite.Cases = append(suite.Cases, c)
		}
		suite.Time = seconds(total)
		out.Suites = append(out.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(s float64) string {
	return fmt.Sprintf("%.3f", time.Duration(s*float64(time.Second)).Seconds())
}
