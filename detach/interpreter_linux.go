package detach

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// interpreterError explains why execve(2) said ENOENT of a file that exists.
func interpreterError(path string, err error) error {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return err // it was removed meanwhile
	}
	return &InterpreterError{Interpreter: shebang(path), Err: err}
}

// shebang returns the interpreter in a script's first line, or nothing.
func shebang(path string) string {
	fd, err := openAbove2(path, unix.O_RDONLY, 0)
	if err != nil {
		return ""
	}
	head, err := readRegular(fd, 256) // BINPRM_BUF_SIZE, what the kernel reads of it
	if err != nil {
		return ""
	}
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	// Spaces and tabs only: a carriage return belongs to the name.
	words := bytes.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) == 0 {
		return ""
	}
	return string(words[0])
}
