package follow_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/follow"
	"github.com/detachkit/detach/detach/lab"
)

// program is what writes a log, through a descriptor that it keeps.
type program struct {
	t    *testing.T
	path string
	file *os.File
}

func newProgram(t *testing.T) *program {
	p := &program{t: t, path: filepath.Join(t.TempDir(), "log")}
	p.reopen()
	return p
}

func (p *program) reopen() {
	p.t.Helper()
	var err error
	p.file, err = os.OpenFile(p.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { p.file.Close() })
}

func (p *program) write(s string) {
	p.t.Helper()
	_, err := p.file.WriteString(s)
	require.NoError(p.t, err)
}

func (p *program) rename() {
	p.t.Helper()
	require.NoError(p.t, os.Rename(p.path, p.path+".1"))
}

// follows follows the log with the test.
func follows(t *testing.T, path string, offset int64) *follow.File {
	f := follow.New(path, offset)
	t.Cleanup(func() { f.Close() })
	return f
}

// read reads until there is nothing new.
func read(t *testing.T, f *follow.File) string {
	t.Helper()
	var all []byte
	buf := make([]byte, 7)
	for {
		n, err := f.Read(buf)
		all = append(all, buf[:n]...)
		if err == io.EOF {
			require.Zero(t, n)
			return string(all)
		}
		require.NoError(t, err)
		require.NotZero(t, n)
	}
}

func TestGrows(t *testing.T) {
	p := newProgram(t)
	f := follows(t, p.path, 0)
	require.Equal(t, p.path, f.Path())
	require.Empty(t, read(t, f))
	p.write("one\ntw")
	require.Equal(t, "one\ntw", read(t, f))
	p.write("o\n")
	require.Equal(t, "o\n", read(t, f))
	require.Empty(t, read(t, f))
	n, err := f.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestOffset(t *testing.T) {
	p := newProgram(t)
	p.write("old\nnew\n")
	require.Equal(t, "new\n", read(t, follows(t, p.path, 4)))
	require.Empty(t, read(t, follows(t, p.path, 8)))
	require.Equal(t, "old\nnew\n", read(t, follows(t, p.path, 9)), "it has been truncated meanwhile")
}

func TestLateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "log")
	f := follows(t, path, 0)
	require.Empty(t, read(t, f))
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	require.Empty(t, read(t, f))
	require.NoError(t, os.WriteFile(path, []byte("late\n"), 0o600))
	require.Equal(t, "late\n", read(t, f))
}

func TestTruncated(t *testing.T) {
	p := newProgram(t)
	f := follows(t, p.path, 0)
	p.write("one\ntwo\n")
	require.Equal(t, "one\ntwo\n", read(t, f))
	for range 3 {
		require.NoError(t, os.Truncate(p.path, 0))
		p.write("three\n")
		require.Equal(t, "three\n", read(t, f))
		require.NoError(t, os.Truncate(p.path, 0))
		require.Empty(t, read(t, f))
		p.write("four, which is longer\n")
		require.Equal(t, "four, which is longer\n", read(t, f))
	}
}

func TestRenamed(t *testing.T) {
	p := newProgram(t)
	f := follows(t, p.path, 0)
	p.write("one\n")
	require.Equal(t, "one\n", read(t, f))

	// Not read by the time of the rename.
	p.write("two\n")
	p.rename()
	p.write("three\n")
	require.Equal(t, "two\nthree\n", read(t, f))

	// The new file is late, and the program later still.
	p.write("four\n")
	require.Equal(t, "four\n", read(t, f))
	require.NoError(t, os.WriteFile(p.path, nil, 0o600))
	require.Empty(t, read(t, f))
	p.write("five\n")
	require.Equal(t, "five\n", read(t, f))
	p.write("six\n")
	p.reopen()
	p.write("seven\n")
	require.Equal(t, "six\nseven\n", read(t, f))
	p.write("eight\n")
	require.Equal(t, "eight\n", read(t, f))
}

// What replaces the log may be shorter than it was, or longer.
func TestReplaced(t *testing.T) {
	for _, content := range []string{"new\n", "new, and longer than before\n"} {
		p := newProgram(t)
		f := follows(t, p.path, 0)
		p.write("one\ntwo\n")
		require.Equal(t, "one\ntwo\n", read(t, f))
		require.NoError(t, os.WriteFile(p.path+".new", []byte(content), 0o600))
		require.NoError(t, os.Rename(p.path+".new", p.path))
		require.Equal(t, content, read(t, f))
	}
}

func TestLinkToAnother(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	f := follows(t, path, 0)
	for _, day := range []string{"monday", "tuesday"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, day), []byte(day), 0o600))
		require.NoError(t, os.Symlink(day, path+".new"))
		require.NoError(t, os.Rename(path+".new", path))
		require.Equal(t, day, read(t, f))
	}
}

// A program goes on writing to a log that was removed, and it is read still.
func TestRemoved(t *testing.T) {
	p := newProgram(t)
	f := follows(t, p.path, 0)
	p.write("one\n")
	require.Equal(t, "one\n", read(t, f))
	require.NoError(t, os.Remove(p.path))
	p.write("two\n")
	require.Equal(t, "two\n", read(t, f))
	require.NoError(t, f.Close())
	require.Empty(t, read(t, f), "nobody can find it again")
}

func TestClosedGoesOn(t *testing.T) {
	p := newProgram(t)
	f := follows(t, p.path, 0)
	p.write("one\n")
	require.Equal(t, "one\n", read(t, f))
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	p.write("two\n")
	require.Equal(t, "two\n", read(t, f))
}

// What is no file is not opened: somebody who waits for a reader of a FIFO
// would believe that there is one.
func TestNotRegular(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"FIFO":   func(path string) error { return unix.Mkfifo(path, 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			require.NoError(t, create(path))
			opened := watchOpen(t, path)
			for _, try := range []func(*follow.File) error{
				func(f *follow.File) error { _, err := f.Read(make([]byte, 10)); return err },
				func(f *follow.File) error { _, err := f.Last(10); return err },
			} {
				err := try(follows(t, path, 0))
				require.ErrorIs(t, err, follow.ErrNotRegular)
				require.EqualError(t, err, "open "+path+": is not a regular file")
				require.False(t, opened())
			}
			file, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
			require.NoError(t, err)
			defer file.Close()
			require.True(t, opened(), "this is what would have been seen")
		})
		t.Run(name+" instead of a file", func(t *testing.T) {
			p := newProgram(t)
			f := follows(t, p.path, 0)
			p.write("one\n")
			require.Equal(t, "one\n", read(t, f))
			p.rename()
			require.NoError(t, create(p.path))
			opened := watchOpen(t, p.path)
			p.write("two\n")
			require.Equal(t, "two\n", read(t, f))
			require.False(t, opened())
			require.NoError(t, os.Remove(p.path))
			p.reopen()
			p.write("three\n")
			require.Equal(t, "three\n", read(t, f))
		})
	}
}

// watchOpen tells whether somebody has opened a file since.
func watchOpen(t *testing.T, path string) (opened func() bool) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	_, err = unix.InotifyAddWatch(fd, path, unix.IN_OPEN)
	require.NoError(t, err)
	return func() bool {
		_, err := unix.Read(fd, make([]byte, 4096))
		if err != unix.EAGAIN {
			require.NoError(t, err)
		}
		return err == nil
	}
}

func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		// Root may read everything; a loop of links nobody can.
		path := filepath.Join(t.TempDir(), "log")
		require.NoError(t, os.Symlink("log", path))
		_, err := follows(t, path, 0).Read(make([]byte, 10))
		require.ErrorIs(t, err, unix.ELOOP)
		return
	}
	p := newProgram(t)
	require.NoError(t, os.Chmod(p.path, 0))
	_, err := follows(t, p.path, 0).Read(make([]byte, 10))
	require.ErrorIs(t, err, fs.ErrPermission)
	require.EqualError(t, err, "open "+p.path+": permission denied")
}

// A program that rotates its log itself, and a reader that is at it at the same
// time: not a line is lost, twice there or in the wrong place.
func TestNothingLost(t *testing.T) {
	const rotations = 300
	p := newProgram(t)
	f := follows(t, p.path, 0)
	var seen atomic.Int64 // lines
	written := make(chan int64, 1)
	go func() {
		line := int64(0)
		for range rotations {
			first := line + 1
			for range 1 + rand.IntN(20) {
				line++
				fmt.Fprintf(p.file, "%d\n", line)
			}
			// A file that came and went unseen would be missed.
			for seen.Load() < first {
				runtime.Gosched()
				if t.Context().Err() != nil {
					return
				}
			}
			os.Rename(p.path, p.path+".1")
			line++
			fmt.Fprintf(p.file, "%d\n", line)
			p.file.Close()
			p.file, _ = os.OpenFile(p.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		}
		line++
		fmt.Fprintf(p.file, "%d\n", line)
		written <- line
	}()

	var rest []byte
	buf := make([]byte, 64)
	want, all := int64(0), int64(-1)
	for want != all {
		select {
		case all = <-written:
		default:
		}
		n, err := f.Read(buf)
		if err != io.EOF {
			require.NoError(t, err)
		}
		rest = append(rest, buf[:n]...)
		for {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found {
				break
			}
			want++
			require.Equal(t, fmt.Sprint(want), string(line))
			rest = after
			seen.Store(want)
		}
	}
	require.Empty(t, read(t, f))
	open := 0
	for _, target := range lab.Descriptors(t, os.Getpid()) {
		if strings.HasPrefix(target, p.path) {
			open++
		}
	}
	require.Equal(t, 2, open, "the program's and the reader's")
}

func TestLast(t *testing.T) {
	for _, test := range []struct {
		content string
		lines   int
		want    string
	}{
		{"", 1, ""},
		{"", 0, ""},
		{"a", 1, "a"},
		{"a\n", 1, "a\n"},
		{"a\n", 0, ""},
		{"a\nb", 0, ""},
		{"a\nb", 1, "b"},
		{"a\nb\n", 1, "b\n"},
		{"a\nb\n", 2, "a\nb\n"},
		{"a\nb\n", 3, "a\nb\n"},
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc\n", -1, "a\nb\nc\n"},
		{"\n\n\n", 2, "\n\n"},
		{"a\n\n", 1, "\n"},
		{"a\n\n", 2, "a\n\n"},
	} {
		p := newProgram(t)
		p.write(test.content)
		requireLast(t, p.path, test.lines, test.want)
	}
}

func requireLast(t *testing.T, path string, lines int, want string) {
	t.Helper()
	f := follows(t, path, 0)
	left, err := f.Last(lines)
	require.NoError(t, err)
	require.EqualValues(t, len(want), left)
	var got bytes.Buffer
	buf := make([]byte, 1<<16)
	for {
		n, err := f.Read(buf)
		got.Write(buf[:n])
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
	require.True(t, want == got.String(), "%d lines of %s, got %d bytes, want %d", lines, path, got.Len(), len(want))
}

// The same as what is plainly right, whatever is at the edge of a block.
func TestLastOfLong(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		content := make([]byte, random.IntN(5*follow.BlockSize/2))
		ends := 1 + random.IntN(2000)
		for i := range content {
			content[i] = 'x'
			if random.IntN(ends) == 0 {
				content[i] = '\n'
			}
		}
		for edge := len(content) - follow.BlockSize; edge > 0; edge -= follow.BlockSize {
			content[edge-1], content[edge] = "\nx"[random.IntN(2)], "\nx"[random.IntN(2)]
		}
		path := filepath.Join(t.TempDir(), "log")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		all := strings.SplitAfter(string(content), "\n")
		if all[len(all)-1] == "" {
			all = all[:len(all)-1]
		}
		for _, lines := range []int{1, 2, 10, len(all) / 2, len(all) - 1, len(all), len(all) + 1} {
			if lines > 0 {
				requireLast(t, path, lines, strings.Join(all[max(0, len(all)-lines):], ""))
			}
		}
	}
}

// The last lines of a file of a terabyte are found at once.
func TestLastOfHuge(t *testing.T) {
	size := int64(1) << 40
	content := hugeFile{size: size}
	from, err := follow.LastLines(&content, size, 1000)
	require.NoError(t, err)
	require.Equal(t, size-1000*hugeLine, from)
	require.LessOrEqual(t, content.read, int64(2*follow.BlockSize))

	content = hugeFile{size: size / 2} // it was truncated meanwhile
	from, err = follow.LastLines(&content, size, 100)
	require.NoError(t, err)
	require.Zero(t, from)

	_, err = follow.LastLines(brokenFile{}, size, 100)
	require.ErrorIs(t, err, unix.EIO)
}

const hugeLine = 128 // bytes

// hugeFile has lines of the same length.
type hugeFile struct{ size, read int64 }

func (h *hugeFile) ReadAt(buf []byte, offset int64) (int, error) {
	for i := range buf {
		at := offset + int64(i)
		if at >= h.size {
			return i, io.EOF
		}
		buf[i] = 'x'
		if at%hugeLine == hugeLine-1 {
			buf[i] = '\n'
		}
		h.read++
	}
	return len(buf), nil
}

type brokenFile struct{}

func (brokenFile) ReadAt([]byte, int64) (int, error) { return 0, unix.EIO }

func TestLastOfNone(t *testing.T) {
	_, err := follows(t, filepath.Join(t.TempDir(), "log"), 0).Last(10)
	require.True(t, errors.Is(err, fs.ErrNotExist), err)
}
