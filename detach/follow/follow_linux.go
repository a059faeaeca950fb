package follow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrNotRegular means that the name is that of a folder, a FIFO, a device or a
// socket. It is not opened: a FIFO would lose what is written to it.
var ErrNotRegular = errors.New("is not a regular file")

// File is a log file that is followed. It need not exist yet.
type File struct {
	path   string
	file   *os.File // nil while there is none
	offset int64    // of what has not been read
}

// New follows the file of that name from an offset in bytes on. If it is
// shorter than that, it has been truncated meanwhile, and is read from its
// beginning.
func New(path string, offset int64) *File { return &File{path: path, offset: offset} }

// Path returns the name.
func (f *File) Path() string { return f.path }

// Read reads what has been appended, and io.EOF with 0 bytes if that is
// nothing at the moment: it never waits. A file that is not there is one with
// nothing in it.
//
// If another file has the name, the old one is read until there is nothing
// more in it and something in the new one, and while the name is nobody's or
// that of something else than a regular file.
func (f *File) Read(buf []byte) (int, error) {
	if len(buf) == 0 {
		return 0, nil
	}
	if err := f.open(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return 0, io.EOF
		}
		return 0, err
	}
	for {
		n, err := f.readOn(buf)
		if err != io.EOF {
			return n, err
		}
		next, err := f.successor()
		if err != nil {
			return 0, err
		}
		if next == nil {
			return 0, io.EOF
		}
		// A program that has begun to write to the new file has written all that
		// it will to the old one: after this there is nothing more.
		if n, err := f.readOn(buf); err != io.EOF {
			next.Close()
			return n, err
		}
		f.file.Close()
		f.file, f.offset = next, 0
	}
}

// readOn reads from the file that is open, and io.EOF at its end.
func (f *File) readOn(buf []byte) (int, error) {
	for {
		n, err := f.file.ReadAt(buf, f.offset)
		f.offset += int64(n)
		if n > 0 {
			return n, nil
		}
		if err != nil && err != io.EOF {
			return 0, err
		}
		info, err := f.file.Stat()
		switch {
		case err != nil:
			return 0, err
		case info.Size() == f.offset:
			return 0, io.EOF
		case info.Size() < f.offset: // it was truncated
			f.offset = 0
		}
	}
}

// successor opens the file that has got the name meanwhile, if there is
// something in it, and returns nil if there is none.
func (f *File) successor() (*os.File, error) {
	current, err := os.Stat(f.path)
	if err != nil || current.Size() == 0 {
		return nil, nil
	}
	info, err := f.file.Stat()
	if err != nil || os.SameFile(info, current) {
		return nil, err
	}
	next, err := openRegular(f.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotRegular) {
		return nil, nil
	}
	return next, err
}

// Last goes to the beginning of the last lines, or to that of the file if lines
// is negative, and returns how many bytes there are from there to its end.
func (f *File) Last(lines int) (int64, error) {
	if err := f.open(); err != nil {
		return 0, err
	}
	info, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	f.offset, err = lastLines(f.file, info.Size(), lines)
	return info.Size() - f.offset, err
}

// blockSize is how much of a file is looked at at once, in bytes.
const blockSize = 64 << 10

// lastLines returns where the last lines begin. It reads backwards, and no more
// than it has to.
func lastLines(file io.ReaderAt, size int64, lines int) (int64, error) {
	switch {
	case lines < 0:
		return 0, nil
	case lines == 0:
		return size, nil
	}
	buf := make([]byte, blockSize)
	for end := size; end > 0; {
		start := max(end-blockSize, 0)
		block := buf[:end-start]
		if n, err := file.ReadAt(block, start); n < len(block) {
			if err == io.EOF { // it was truncated
				return 0, nil
			}
			return 0, err
		}
		if end == size {
			block = bytes.TrimSuffix(block, []byte("\n")) // of the last line
		}
		for {
			i := bytes.LastIndexByte(block, '\n')
			if i < 0 {
				break
			}
			if lines--; lines == 0 {
				return start + int64(i) + 1, nil
			}
			block = block[:i]
		}
		end = start
	}
	return 0, nil
}

func (f *File) open() error {
	if f.file != nil {
		return nil
	}
	file, err := openRegular(f.path)
	if err != nil {
		return err
	}
	f.file = file
	return nil
}

// openRegular opens a file once it is known to be a regular one: opening a FIFO
// would let go on whoever waits to write to it.
func openRegular(path string) (*os.File, error) {
	name, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer name.Close()
	info, err := name.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	file, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", name.Fd()))
	var e *fs.PathError
	if errors.As(err, &e) {
		e.Path = path
	}
	return file, err
}

// Close releases the file. A Read after it opens it again.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
