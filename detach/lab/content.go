package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Content returns what a file holds.
func Content(t testing.TB, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Contains tells whether a file is there and holds a text.
func Contains(path, text string) bool {
	data, err := os.ReadFile(path)
	return err == nil && bytes.Contains(data, []byte(text))
}
