//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// endings are those of files whose format need not be said.
var endings = map[string]string{
	".txt":    formatTable,
	".json":   formatJSON,
	".tap":    formatTAP,
	".xml":    formatJUnit,
	".md":     formatMarkdown,
	".html":   formatHTML,
	".expect": formatExpect,
}

// formatOf returns the format that a file's ending stands for.
func formatOf(path string) (string, error) {
	format, ok := endings[filepath.Ext(path)]
	if !ok {
		return "", fmt.Errorf("output %q ends in none of .txt, .json, .tap, .xml, .md, .html, .expect", path)
	}
	return format, nil
}

// outputs are the files that get a report.
type outputs []*os.File

// openOutputs opens them, before anything is run: a run may take minutes, and
// is not to be in vain. What they hold stays until there is a report.
func openOutputs(paths []string) (outputs, error) {
	var files outputs
	for _, path := range paths {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return nil, errors.Join(err, files.close())
		}
		files = append(files, file)
	}
	return files, nil
}

// write writes the report into each, in the format of its ending.
func (files outputs) write(r *results) error {
	var errs []error
	for _, file := range files {
		format, err := formatOf(file.Name())
		if err == nil {
			err = rewrite(file, format, r)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, files.close())...)
}

func rewrite(file *os.File, format string, r *results) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		if err := file.Truncate(0); err != nil {
			return err
		}
	}
	return formats[format](file, r)
}

func (files outputs) close() error {
	var errs []error
	for _, file := range files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// writeReport writes the report to standard output: a table as the terminal
// there wants it.
func writeReport(w io.Writer, format string, r *results) error {
	if format == formatTable {
		return writeTable(w, r, styleOf(w))
	}
	return formats[format](w, r)
}
