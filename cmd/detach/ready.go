package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/detachkit/detach/detach"
)

// parseCondition parses what --ready takes.
func parseCondition(s string) (detach.Condition, error) {
	kind, value, given := strings.Cut(s, "=")
	switch {
	case kind == "notify" && !given:
		return detach.Notify{}, nil
	case !given || value == "":
	case kind == "alive":
		d, err := parseDuration(value)
		return detach.Alive(d), err
	case kind == "fd":
		n, err := strconv.Atoi(value)
		if err != nil || n < 3 {
			return nil, errors.New("is not the number of a descriptor, which is 3 or more")
		}
		return detach.NotifyFD(n), nil
	case kind == "tcp":
		return detach.ParseTCP(value)
	case kind == "log":
		re, err := regexp.Compile(value)
		return detach.LogLine{Regexp: re}, err
	}
	return nil, errors.New("is none of alive=TIME, notify, fd=N, tcp=[HOST:]PORT and log=REGEXP")
}

// parseFailure parses what --fail takes.
func parseFailure(s string) (*regexp.Regexp, error) {
	pattern, ok := strings.CutPrefix(s, "log=")
	if !ok || pattern == "" {
		return nil, errors.New("is not log=REGEXP")
	}
	return regexp.Compile(pattern)
}

// readyLine is the progress of a start, on one line of a terminal.
func readyLine(stderr io.Writer, p detach.ReadyProgress) {
	words := make([]string, len(p.Waiting))
	for i, c := range p.Waiting {
		words[i] = quoteOdd(c.String())
	}
	line := fmt.Sprintf("PID %d: waiting for %s, %v", p.PID, strings.Join(words, ", "), p.Elapsed.Round(time.Second))
	if p.Status != "" {
		line += ": " + quoteOdd(p.Status)
	}
	progressLine(stderr, line)
}

// logOf says what a failed start has left in its log.
func logOf(stderr io.Writer, err error) {
	var e *detach.NotReadyError
	if !errors.As(err, &e) {
		return
	}
	for _, line := range e.Log {
		fmt.Fprintln(stderr, "log:", quoteOdd(line))
	}
}
