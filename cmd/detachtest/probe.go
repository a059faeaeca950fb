//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// probeWord, as the first argument, makes this program the probe.
const probeWord = "__probe"

const (
	// probeLife is how long a probe lives at most, so that none is ever left
	// behind.
	probeLife = 5 * time.Minute
	// watchInterval is how often a probe looks whether it is still wanted.
	watchInterval = 100 * time.Millisecond
)

// beProbe is the life of a probe. Its arguments are its nest and what the
// script before it has saved. Once born it does not return: it ends by a signal
// or when it is not wanted any more.
func beProbe(args []string) error {
	if len(args) != 2 {
		return errors.New("a probe takes a nest and what was saved")
	}
	dir, saved := args[0], args[1]
	b, err := takeBirth(saved)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, acquireFile)); err == nil {
		if b.AcquiresTerminal, err = acquiresTerminal(); err != nil {
			return err
		}
	}
	if err := announce(dir, b); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // a launcher that starts twice: the first probe counts
		}
		return err
	}
	alive, err := unix.Open(filepath.Join(filepath.Dir(dir), aliveFile), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: aliveFile, Err: err}
	}
	go endWhenUnwanted(alive, dir)

	deaf, err := b.deaf()
	if err != nil {
		return err
	}
	if err := undoRuntimeSignals(deaf); err != nil {
		return err
	}
	return beat(filepath.Join(dir, beatFile))
}

// announce writes the birth and tells the tester that it is there. The beat is
// yet to come.
func announce(dir string, b *birth) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	// The tester has to be able to read it, whatever the launcher's umask.
	defer unix.Umask(unix.Umask(0o077))
	draft := filepath.Join(dir, fmt.Sprintf("%s.%d", birthFile, b.PID))
	if err := os.WriteFile(draft, data, 0o600); err != nil {
		return err
	}
	// A link, unlike a rename, leaves the birth of another probe alone.
	if err := os.Link(draft, filepath.Join(dir, birthFile)); err != nil {
		return err
	}
	born, err := unix.Open(filepath.Join(dir, bornFile), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: bornFile, Err: err}
	}
	defer func() { _ = unix.Close(born) }()
	if _, err := unix.Write(born, []byte{'\n'}); err != nil {
		return &os.PathError{Op: "write", Path: bornFile, Err: err}
	}
	return nil
}

// beatLine is what the probe writes at each beat.
const beatLine = "%8d\n"

// beat writes to standard output and standard error, as real programs do, and
// then counts, for ever. The count grows only where both writes have come
// through: a broken pipe ends it, a full one holds it up. Behind the count
// stands which of the two it is at.
//
// It uses plain system calls because os.File has an opinion of its own on
// broken pipes.
func beat(path string) error {
	file, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	for n := 1; ; n++ {
		line := fmt.Appendf(nil, beatLine, n)
		// An error that does not kill, such as that of a terminal that is
		// gone, does not stop an ordinary program either.
		for fd := 1; fd <= 2; fd++ {
			if _, err := unix.Pwrite(file, fmt.Appendln(nil, fd), int64(len(line))); err != nil {
				return &os.PathError{Op: "write", Path: path, Err: err}
			}
			_, _ = unix.Write(fd, line)
		}
		if _, err := unix.Pwrite(file, line, 0); err != nil {
			return &os.PathError{Op: "write", Path: path, Err: err}
		}
		time.Sleep(beatInterval)
	}
}

// endWhenUnwanted ends the probe when its nest is gone, when its time is up,
// or when the tester has ended without tidying up, which it then does. It runs
// beside the beat because that can be held up.
func endWhenUnwanted(alive int, dir string) {
	for deadline := time.Now().Add(probeLife); time.Now().Before(deadline); time.Sleep(watchInterval) {
		if _, err := os.Stat(dir); err != nil {
			os.Exit(0)
		}
		// Only the tester's end lets anybody have the lock.
		if unix.Flock(alive, unix.LOCK_SH|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(dir))
			os.Exit(0)
		}
	}
	os.Exit(0)
}
