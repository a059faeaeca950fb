//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// placeholder stands in a launcher where the probe belongs.
const placeholder = "{}"

// What else may stand in a launcher: files in the nest, for launchers that
// write one.
var filePlaceholders = map[string]string{
	"{pidfile}": pidFile,
	"{log}":     logFile,
}

// A launcher is a way of starting a program: a column of the report.
type launcher struct {
	name  string
	words []string
	shell bool // words is one line for sh
	// manager tells that the command is the manager itself. It finds the probe
	// in its environment, so nothing is appended or replaced.
	manager bool
}

// The marks before a command that say what it is, as --shell and --manager do
// for all of them.
const (
	shellMark   = "shell:"
	managerMark = "manager:"
)

// parseLauncher reads NAME=COMMAND. COMMAND is split at spaces, or is a line
// for sh with the mark for it.
func parseLauncher(s string) (launcher, error) {
	name, command, ok := strings.Cut(s, "=")
	l := launcher{name: strings.TrimSpace(name)}
	for marked := true; marked; {
		command = strings.TrimSpace(command)
		var isShell, isManager bool
		command, isShell = strings.CutPrefix(command, shellMark)
		command, isManager = strings.CutPrefix(command, managerMark)
		l.shell, l.manager = l.shell || isShell, l.manager || isManager
		marked = isShell || isManager
	}
	if !ok || l.name == "" || command == "" {
		return launcher{}, fmt.Errorf("launcher %q is not NAME=COMMAND", s)
	}
	l.words = strings.Fields(command)
	if l.shell {
		l.words = []string{command}
	}
	return l, nil
}

// in returns the launcher with the files of a nest in the place of their
// placeholders.
func (l launcher) in(n *nest) launcher {
	l.words = slices.Clone(l.words)
	for i := range l.words {
		for word, file := range filePlaceholders {
			path := n.path(file)
			if l.shell {
				path = quote(path)
			}
			l.words[i] = strings.ReplaceAll(l.words[i], word, path)
		}
	}
	return l
}

// command returns the arguments that start the probe, a file's path.
func (l launcher) command(probe string) []string {
	if l.shell {
		return []string{"/bin/sh", "-c", l.line(probe)}
	}
	if l.manager {
		return l.words
	}
	if !slices.Contains(l.words, placeholder) {
		return append(slices.Clone(l.words), probe)
	}
	command := slices.Clone(l.words)
	for i, word := range command {
		if word == placeholder {
			command[i] = probe
		}
	}
	return command
}

// line returns the line for sh that starts the probe.
func (l launcher) line(probe string) string {
	line := strings.Join(l.words, " ")
	switch {
	case l.manager:
		return line
	case strings.Contains(line, placeholder):
		return strings.ReplaceAll(line, placeholder, quote(probe))
	default:
		return line + " " + quote(probe)
	}
}

// quote quotes a word for sh, but only where it must: a placeholder may stand
// inside quotes of the user's own.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
