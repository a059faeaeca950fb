//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// readLaunchers reads a file of launchers: NAME=COMMAND lines, as --launcher
// takes them, which parse reads, empty lines, and comments that begin with #.
func readLaunchers(path string, parse func(string) (launcher, error)) ([]launcher, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var launchers []launcher
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		l, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		launchers = append(launchers, l)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return launchers, nil
}
