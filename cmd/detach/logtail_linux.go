package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/follow"
)

// logTail prints the logs of a daemon as they grow.
type logTail struct {
	logs   []*tailedLog
	stdout io.Writer
	failed func(path string, err error) // says that a log could not be read
	buf    []byte
	inLine bool // what was printed last is not the end of a line
}

// tailedLog is one log of it.
type tailedLog struct {
	*follow.File
	label   string // before each line; of an only log it is empty
	rest    []byte // the beginning of a line, of a log with a label
	missing bool   // there was no file, and has not been since
	broken  bool   // it could not be read
}

// longestLine is where a line with a label is cut, in bytes: one that never
// ends is not kept in memory.
const longestLine = 64 << 10

// newLogTail returns what there is to print of a daemon, and nil if that is
// nothing.
func newLogTail(r detach.Record, stdout io.Writer, failed func(path string, err error)) *logTail {
	l := &logTail{stdout: stdout, failed: failed, buf: make([]byte, longestLine)}
	for _, log := range []tailedLog{
		{File: follow.New(r.Stdout, 0), label: "out: "},
		{File: follow.New(r.Stderr, 0), label: "err: "},
	} {
		if log.Path() != "" && log.Path() != os.DevNull && (len(l.logs) == 0 || !sameFile(log.Path(), l.logs[0].Path())) {
			l.logs = append(l.logs, &log)
		}
	}
	switch len(l.logs) {
	case 0:
		return nil
	case 1:
		l.logs[0].label = ""
	}
	return l
}

// errFeedsItself is what cat(1) says of it.
var errFeedsItself = errors.New("input file is output file")

// checkOutput refuses what would print its own output for ever: standard output
// into one of the logs.
func (l *logTail) checkOutput() error {
	f, ok := l.stdout.(*os.File)
	if !ok {
		return nil
	}
	output, err := f.Stat()
	if err != nil || !output.Mode().IsRegular() {
		return nil
	}
	for _, path := range l.paths() {
		if info, err := os.Stat(path); err == nil && os.SameFile(info, output) {
			return &detach.Error{Op: "logs", Path: path, Err: errFeedsItself}
		}
	}
	return nil
}

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// status is the exit status of a command that has printed the logs.
func (l *logTail) status() (status int) {
	for _, log := range l.logs {
		switch {
		case log.broken:
			return statusFailed
		case log.missing:
			status = statusNoLog
		}
	}
	return status
}

func (l *logTail) broken() bool {
	for _, log := range l.logs {
		if !log.broken {
			return false
		}
	}
	return true
}

func (l *logTail) close() {
	for _, log := range l.logs {
		log.Close()
	}
}

func (l *logTail) paths() (paths []string) {
	for _, log := range l.logs {
		paths = append(paths, log.Path())
	}
	return paths
}

// last prints the last lines of each log as it is now. Its error is one of
// standard output, as that of all that print.
func (l *logTail) last(lines int) error {
	for _, log := range l.logs {
		left, err := log.Last(lines)
		if err != nil {
			l.failed(log.Path(), err)
			log.missing = errors.Is(err, fs.ErrNotExist)
			log.broken = !log.missing
			continue
		}
		for left > 0 {
			n, err := l.print(log, left)
			if err != nil {
				return err
			}
			if n == 0 { // it was truncated
				break
			}
			left -= int64(n)
		}
	}
	return nil
}

// more prints what has been appended, from all logs in turn.
func (l *logTail) more() error {
	for any := true; any; {
		any = false
		for _, log := range l.logs {
			n, err := l.print(log, longestLine)
			if err != nil {
				return err
			}
			any = any || n > 0
		}
	}
	return nil
}

// print prints what has been appended to a log, of that at most so many bytes,
// and returns how many there were.
func (l *logTail) print(log *tailedLog, most int64) (int, error) {
	if log.broken {
		return 0, nil
	}
	n, err := log.Read(l.buf[:min(most, int64(len(l.buf)))])
	if err == io.EOF {
		return 0, nil
	}
	if err != nil {
		l.failed(log.Path(), err)
		log.broken = true
		return 0, nil
	}
	log.missing = false
	data := l.buf[:n]
	if log.label != "" {
		data = log.lines(data)
	}
	return n, l.write(data)
}

func (l *logTail) write(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	l.inLine = data[len(data)-1] != '\n'
	_, err := l.stdout.Write(data)
	return err
}

// lines returns the lines that are complete with this data, each behind the
// label.
func (log *tailedLog) lines(data []byte) []byte {
	var lines bytes.Buffer
	for len(data) > 0 {
		if len(log.rest) == longestLine && data[0] != '\n' {
			lines.Write(log.takeRest())
		}
		room := longestLine - len(log.rest)
		end := bytes.IndexByte(data[:min(len(data), room+1)], '\n')
		part := data[:min(len(data), room)]
		if end >= 0 {
			part = data[:end+1]
		}
		log.rest = append(log.rest, part...)
		if end >= 0 {
			lines.Write(log.takeRest())
		}
		data = data[len(part):]
	}
	return lines.Bytes()
}

// takeRest returns the line that has been read so far as one of its own.
func (log *tailedLog) takeRest() []byte {
	if len(log.rest) == 0 {
		return nil
	}
	line := log.label + string(bytes.TrimSuffix(log.rest, []byte("\n"))) + "\n"
	log.rest = log.rest[:0]
	return []byte(line)
}

// flush prints the lines that have no end.
func (l *logTail) flush() error {
	for _, log := range l.logs {
		if err := l.write(log.takeRest()); err != nil {
			return err
		}
	}
	return nil
}

// follow prints what is appended until done, and then what is left. It gives up
// if no log can be read.
func (l *logTail) follow(done <-chan struct{}) error {
	watch := newLogWatch(l.paths())
	defer watch.close()
	for ending := false; ; {
		if err := l.more(); err != nil {
			return err
		}
		if ending || l.broken() {
			return nil
		}
		select {
		case <-done:
			ending = true
		case <-watch.changed:
		}
		if err := readerGone(l.stdout); err != nil {
			return err
		}
	}
}

// readerGone tells whether nobody can read any more what is written: it may be
// long until there is something to write.
func readerGone(w io.Writer) error {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}} // POLLERR and POLLHUP are always asked for
	if n, err := unix.Poll(fds, 0); err != nil || n == 0 || fds[0].Revents&(unix.POLLERR|unix.POLLHUP) == 0 {
		return nil
	}
	return unix.EPIPE
}

func outputFailed(err error) error {
	return fmt.Errorf("detach: write standard output: %w", underlying(err))
}
