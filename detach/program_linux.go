package detach

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/internal/service"
)

// errOpening means that a shell that is to open the files and to execute the
// program has not done so.
const errOpening = unfitError("the shell that opens its files has not executed it")

// isProgram tells whether a process of the unit is the program, and not still what
// is to become it: a child of systemd, or since version 255 its systemd-executor,
// or the shell that opens the files.
func (r *Record) isProgram(pid int) bool {
	if !service.IsExecuted(pid) {
		return false
	}
	opener := r.opener()
	if opener == nil {
		return true
	}
	words := []byte(strings.Join(opener, "\x00") + "\x00")
	arguments, err := proc.Read(procDir(pid)+"/cmdline", len(words))
	// Nor has a shell that is ending any arguments.
	return err == nil && !bytes.Equal(arguments, words) && service.IsExecuted(pid)
}

// awaitProgram waits until a process of the unit is the program. The error is
// ErrExited if it has ended.
func (r *Record) awaitProgram(ctx context.Context, pid, pidfd int) error {
	deadline := time.Now().Add(execPatience)
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		switch is := r.isProgram(pid); {
		case hasEnded(pidfd):
			return ErrExited
		case is:
			return nil
		case time.Now().After(deadline):
			return errOpening
		case ctx.Err() != nil:
			return ctx.Err()
		}
		time.Sleep(pause)
	}
}

// forShell refuses what a shell takes for a script of its own when the kernel has
// not taken it for a program: text.
func (c *Cmd) forShell(r *Record, env []string) error {
	if r.Restart == RestartNo || r.opener() == nil {
		return nil
	}
	f, err := os.Open(r.Path)
	if err != nil { // it may be executed but not read
		return nil
	}
	defer f.Close()
	var start [128]byte
	n, err := f.Read(start[:])
	if err != nil && err != io.EOF {
		return nil
	}
	if text := start[:n]; bytes.HasPrefix(text, []byte("#!")) || bytes.HasPrefix(text, []byte("\x7fELF")) || bytes.IndexByte(text, 0) >= 0 {
		return nil
	}
	return c.execError(r.Path, env, unix.ENOEXEC)
}

// execError is what the double fork says of a program that cannot be executed.
func (c *Cmd) execError(path string, env []string, err error) error {
	e := &Error{Op: "exec", Path: c.Path, Err: err}
	if path, findErr := c.find(env); findErr == nil {
		e.Path = path
	}
	if err == unix.ENOENT {
		e.Err = interpreterError(path, unix.ENOENT)
	}
	return e
}
