package detach

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/follow"
)

const (
	lastLines   = 10       // of a log, in an error
	longestLine = 64 << 10 // bytes; of a longer one the rest is left out
)

// logLines reads the lines that are appended to the logs of a daemon.
type logLines struct {
	files []logFile
}

type logFile struct {
	*follow.File
	rest []byte   // the beginning of a line
	cut  bool     // what comes up to the end of the line is left out
	next []byte   // what has been read and nobody has asked for yet
	last []string // the last lines, for an error
}

// newLogLines follows the logs in a record from where they were at the start.
func newLogLines(r Record) *logLines {
	l := &logLines{}
	for _, log := range r.logs() {
		from := r.StdoutFrom
		if log.Streams == "stderr" {
			from = r.StderrFrom
		}
		l.files = append(l.files, logFile{File: follow.New(log.Path, from)})
	}
	return l
}

func (l *logLines) close() {
	for _, f := range l.files {
		f.Close()
	}
}

// read calls each with every line that is complete by now, without its end,
// until that returns false.
func (l *logLines) read(each func(line []byte) bool) error {
	buf := make([]byte, 32<<10)
	for i := range l.files {
		f := &l.files[i]
		if !f.take(nil, each) {
			return nil
		}
		for {
			n, err := f.Read(buf)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			if !f.take(buf[:n], each) {
				return nil
			}
		}
	}
	return nil
}

func (f *logFile) take(data []byte, each func(line []byte) bool) (more bool) {
	data = append(f.next, data...)
	f.next = nil
	for len(data) > 0 {
		part, more, ended := bytes.Cut(data, []byte("\n"))
		data = more
		if !f.cut {
			f.rest = append(f.rest, part[:min(len(part), longestLine-len(f.rest))]...)
		}
		long := len(f.rest) == longestLine // then it is taken as it is
		if f.cut || !ended && !long {
			f.cut = f.cut && !ended
			continue
		}
		f.cut = long && !ended
		line := bytes.TrimSuffix(f.rest, []byte("\r"))
		f.rest = nil
		f.note(line)
		if !each(line) {
			f.next = bytes.Clone(data)
			return false
		}
	}
	return true
}

func (f *logFile) note(line []byte) {
	if len(f.last) == lastLines {
		f.last = append(f.last[:0], f.last[1:]...)
	}
	f.last = append(f.last, string(line))
}

// tail returns the last lines of all logs, those of standard error last, and
// what there is of an unfinished one.
func (l *logLines) tail() []string {
	_ = l.read(func([]byte) bool { return true }) // what there is has to do
	var lines []string
	share := lastLines / max(len(l.files), 1)
	for i := range l.files {
		f := &l.files[i]
		if len(f.rest) > 0 {
			f.note(f.rest)
			f.rest = nil
		}
		lines = append(lines, f.last[max(0, len(f.last)-share):]...)
	}
	return lines
}

// inherited names the file that a descriptor of this process leads to, where
// the daemon keeps it: a regular file, open for writing.
func inherited(fd int) string {
	if kindOf(fd) != regular || !writable(fd) {
		return ""
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil || !strings.HasPrefix(path, "/") {
		return ""
	}
	var named, open unix.Stat_t
	if unix.Stat(path, &named) != nil || unix.Fstat(fd, &open) != nil || named.Ino != open.Ino || named.Dev != open.Dev {
		return "" // it was removed or replaced
	}
	return path
}

// sizeOf returns the size of a regular file, and 0 of anything else.
func sizeOf(fd int) int64 {
	var st unix.Stat_t
	if kindOf(fd) != regular || unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Size
}
