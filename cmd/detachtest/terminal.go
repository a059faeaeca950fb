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

// acquiresTerminal tells whether this process gets a controlling terminal just
// by opening one, as a server does that logs to /dev/console or runs a program
// in a terminal of its own: a session leader without one does. It stays open,
// as its hang-up would reach the process then.
func acquiresTerminal() (bool, error) {
	var err error
	if ownTerminal.master, ownTerminal.slave, err = pty.Open(); err != nil {
		return false, err
	}
	name := ownTerminal.slave.Name()
	before, err := readStat(os.Getpid())
	if err != nil {
		return false, err
	}
	if _, err := unix.Open(name, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil { // without O_NOCTTY
		return false, &os.PathError{Op: "open", Path: name, Err: err}
	}
	after, err := readStat(os.Getpid())
	return before.terminal == 0 && after.terminal != 0, err
}

// ownTerminal is what acquiresTerminal has opened.
var ownTerminal struct{ master, slave *os.File }

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
