package main

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// columns returns the width of a terminal, and 0 of anything else.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	if size.Col == 0 { // nobody has told the terminal
		return 80
	}
	return int(size.Col)
}

// signalNamed returns the signal of a name such as SIGTERM, or 0.
func signalNamed(name string) syscall.Signal { return unix.SignalNum(name) }
