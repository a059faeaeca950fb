package proc

import "strings"

// Arguments splits the content of /proc/PID/cmdline, where a zero byte is
// behind each argument. A program may have written over it, and the last byte
// need not be one.
func Arguments(data []byte) []string {
	if len(data) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

// Environ splits the content of /proc/PID/environ. What is empty is left out: a
// program that writes its title over it pads it so.
func Environ(data []byte) []string {
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == 0 })
}
