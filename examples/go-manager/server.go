package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/detachkit/detach/detach"
	_ "github.com/detachkit/detach/detach/systemd" // as a service, systemd would end the servers with it
)

// The files of a server, in its folder.
const (
	pidFile = "server.pid"
	console = "console.in"
	logFile = "logs/console.log"
)

const (
	maxLine  = 4096 // PIPE_BUF: so much is written to a FIFO as a whole, see pipe(7)
	tailSize = 16 << 10
	tailRows = 20
)

// conflictError is a server that is not in a state in which this can be done.
type conflictError struct{ text string }

func (e *conflictError) Error() string { return e.text }

// errLine is a line that cannot be typed.
var errLine = fmt.Errorf("a command is one line of at most %d bytes", maxLine-1)

// server is a server, running or not. All that is known of it is in its folder.
type server struct {
	folder  string
	command []string
}

func (s *server) name() string { return filepath.Base(s.folder) }

func (s *server) path(file string) string { return filepath.Join(s.folder, file) }

// start starts the server detached from the panel. While it runs already the
// error is a *detach.RunningError.
func (s *server) start(ctx context.Context) (*detach.Process, error) {
	if err := os.MkdirAll(filepath.Dir(s.path(logFile)), 0o755); err != nil {
		return nil, err
	}
	cmd := detach.Command(s.command[0], s.command[1:]...)
	cmd.Dir = s.folder // what the other paths are relative to
	cmd.Stdout = logFile
	cmd.Console = console
	cmd.PIDFile = pidFile
	return cmd.Start(ctx)
}

// find returns the running server, whoever has started it, or nil.
func (s *server) find() (*detach.Process, error) {
	daemon, err := detach.Open(s.path(pidFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, detach.ErrExited) {
		return nil, nil
	}
	return daemon, err
}

// identified tells whether there is a record that says which process this is.
// There is none if the panel was killed in the very moment of the start; then
// the PID may have passed to another process since.
func identified(daemon *detach.Process) bool { return daemon.Record.Version > 0 }

// typeLine types a line on the console of the server. It does not wait for a
// server that does not run, and not long for one that has stopped reading.
func (s *server) typeLine(line string) error {
	if len(line) >= maxLine || strings.ContainsAny(line, "\n\x00") {
		return errLine
	}
	fifo, err := os.OpenFile(s.path(console), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, fs.ErrNotExist) {
		return &conflictError{s.name() + " does not read its console"}
	}
	if err != nil {
		return err
	}
	defer fifo.Close()
	if err := fifo.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = io.WriteString(fifo, line+"\n")
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.EPIPE) {
		return &conflictError{s.name() + " has stopped reading its console"}
	}
	return err
}

// stop ends the server and returns what has ended it: "stop" on its console,
// SIGTERM, or SIGKILL, which loses what the server has not saved. The server
// gets the time of grace for each.
func (s *server) stop(ctx context.Context, grace time.Duration) (string, error) {
	daemon, err := s.find()
	if err != nil {
		return "", err
	}
	if daemon == nil {
		return "", &conflictError{s.name() + " is not running"}
	}
	defer daemon.Close()
	if !identified(daemon) {
		return "", &conflictError{fmt.Sprintf("process %d is left alone: there is no record that it is %s", daemon.PID, s.name())}
	}
	for _, way := range []struct {
		name string
		ask  func() error
	}{
		{"stop", func() error { return s.typeLine("stop") }},
		{"SIGTERM", func() error { return daemon.Signal(syscall.SIGTERM) }},
	} {
		if err := way.ask(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			continue
		}
		if endsWithin(ctx, daemon, grace) {
			return way.name, daemon.Kill(context.WithoutCancel(ctx)) // removes its PID file and record
		}
	}
	return "SIGKILL", daemon.Kill(context.WithoutCancel(ctx))
}

func endsWithin(ctx context.Context, daemon *detach.Process, grace time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	_, err := daemon.Wait(ctx)
	return err == nil
}

// logTail returns the last lines of the log.
func (s *server) logTail() ([]string, error) {
	file, err := os.Open(s.path(logFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	start := max(0, info.Size()-tailSize)
	data, err := io.ReadAll(io.NewSectionReader(file, start, tailSize))
	if err != nil {
		return nil, err
	}
	text := strings.ToValidUTF8(strings.TrimSuffix(string(data), "\n"), "\uFFFD")
	if text == "" {
		return nil, nil
	}
	lines := strings.Split(text, "\n")
	if start > 0 {
		lines = lines[1:] // its beginning was cut off
	}
	return lines[max(0, len(lines)-tailRows):], nil
}
