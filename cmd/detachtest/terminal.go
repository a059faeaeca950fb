//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A terminal is the master side of a pseudo-terminal: the keyboard and the
// screen, or the ssh connection.
type terminal struct {
	master *os.File
	mu     sync.Mutex // of kept
	kept   []byte     // the last that was written to the screen
}

// openTerminal also returns the side that belongs to the programs in it.
func openTerminal() (*terminal, *os.File, error) {
	blocking, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = blocking.Close() }()
	// A blocking read would keep a closed descriptor open: no hang-up.
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = slave.Close()
		return nil, nil, &os.PathError{Op: "duplicate", Path: blocking.Name(), Err: err}
	}
	t := &terminal{master: os.NewFile(uintptr(fd), blocking.Name())}
	// Somebody has to read the screen, or else its writers would block.
	go func() { _, _ = io.Copy(t, t.master) }()
	return t, slave, nil
}

// interruptKey is what a terminal sends for Ctrl-C.
const interruptKey = "\x03"

// interrupt types Ctrl-C.
func (t *terminal) interrupt() error {
	if _, err := t.master.WriteString(interruptKey); err != nil {
		return fmt.Errorf("type ctrl-c: %w", err)
	}
	return nil
}

// close hangs up.
func (t *terminal) close() error {
	if err := t.master.Close(); err != nil {
		return fmt.Errorf("hang up terminal: %w", err)
	}
	return nil
}

// Write takes what appears on the screen.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	t.kept = slices.Clone(t.kept[max(0, len(t.kept)-keptOutput):])
	return len(p), nil
}

func (t *terminal) screen() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.kept)
}
