package detach

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

func open(path string) (*Process, error) {
	named, err := readNamed(path)
	if err != nil {
		return nil, err
	}
	var identity *Identity
	if named.record != nil {
		if named.record.isPending() {
			was, err := named.record.Identity, ErrExited
			if named.ownsUnit() {
				err = named.record.complete(context.Background(), pendingPatience)
			}
			if err != nil {
				return nil, &Error{Op: "open", Path: path, Err: err}
			}
			named.pid = named.record.PID
			named.adopt(was)
		}
		identity = &named.record.Identity
	}
	pidfd, stat, known, err := openAlive(named.pid, identity)
	if err == ErrExited && named.record != nil {
		was := named.record.Identity
		if err = named.follow(context.Background()); err == nil {
			named.pid = named.record.PID
			if pidfd, stat, known, err = openAlive(named.pid, &named.record.Identity); err == nil {
				named.adopt(was)
			}
		} else if err == ErrExited {
			named.removeUnused(context.Background())
		}
	}
	if err != nil {
		return nil, &Error{Op: "open", Path: path, Err: err}
	}
	p := &Process{PID: named.pid, handle: newHandle(pidfd), pidFile: named.pidFile}
	if named.record != nil {
		p.Record, p.guessed = *named.record, !known
		return p, nil
	}
	boot, _ := proc.BootID()
	p.Record = Record{Identity: Identity{PID: named.pid, Start: stat.Start, BootID: boot}, Session: stat.Session, PIDFile: named.pidFile}
	p.guessed = true
	return p, nil
}

// named is what a PID file or a record names.
type named struct {
	pid     int
	record  *Record // nil if there is none of this PID
	pidFile string  // absolute where it can be told: not what the record says, the folder may have been moved
}

// file opens the folder of its PID file; nil if it cannot.
func (n named) file() *pidFile {
	f, err := openPIDDir(n.pidFile)
	if err != nil {
		return nil
	}
	return f
}

// ownsUnit and follow are those of its record.
func (n named) ownsUnit() bool {
	f := n.file()
	defer f.close()
	return n.record.ownsUnit(f)
}

func (n named) follow(ctx context.Context) error {
	f := n.file()
	defer f.close()
	return n.record.follow(ctx, f)
}

// adopt puts its process on record in place of what was there.
func (n named) adopt(was Identity) {
	if f := n.file(); f != nil {
		defer f.close()
		f.adopt(was, n.record)
	}
}

// readNamed reads a PID file and its record, or a record and its PID file.
func readNamed(path string) (named, error) {
	path, err := followLink(path)
	if err != nil {
		return named{}, err
	}
	f, err := openPIDDir(path)
	if err != nil {
		return named{}, err
	}
	defer f.close()
	pid, record, err := f.read()
	var e *Error
	if pidfile, ok := strings.CutSuffix(path, ".json"); ok && errors.As(err, &e) && e.Err == ErrNotPIDFile && e.Path == path {
		return readRecordFile(f, pidfile)
	}
	if err != nil {
		return named{}, err
	}
	if pid == 0 && record == nil {
		return named{}, &Error{Op: "open", Path: path, Err: unix.ENOENT}
	}
	return named{pid, record, absolute(path)}, nil
}

// followLink returns what a symbolic link leads to, where whoever looks after a
// daemon has made one to its PID file. A start takes none for a PID file.
func followLink(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return path, nil
	}
	resolved, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", &Error{Op: "open", Path: path, Err: unix.ENOENT}
	case err != nil: // to open it fails, too, with the words of the kernel
		return path, nil
	}
	return resolved, nil
}

// readRecordFile is readNamed for the file f, which may be a record.
func readRecordFile(f *pidFile, pidfile string) (named, error) {
	data, err := f.readFile(f.name, maxRecord)
	if err != nil {
		return named{}, err
	}
	r, err := parseRecord(data)
	if err != nil {
		return named{}, &Error{Op: "open", Path: f.path, Err: err}
	}
	if r.isEntering() {
		return readNamed(pidfile)
	}
	return named{r.PID, &r, absolute(pidfile)}, nil
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func readRecord(pidfile string) (Record, error) {
	named, err := readNamed(pidfile)
	if err != nil {
		return Record{}, err
	}
	if named.record == nil {
		return Record{}, &Error{Op: "open", Path: pidfile, Err: ErrNoRecord}
	}
	return *named.record, nil
}

func find(pid int) (*Process, error) { return findProcess(strconv.Itoa(pid), pid, nil) }

func findIdentity(id Identity) (*Process, error) { return findProcess(id.String(), id.PID, &id) }

func findProcess(name string, pid int, identity *Identity) (*Process, error) {
	if err := proc.Check(); err != nil {
		return nil, &Error{Op: "find", Path: "/proc", Err: err}
	}
	pidfd, stat, known, err := openAlive(pid, identity)
	if err == ErrExited && identity == nil {
		if s, unread := proc.ReadStatus(procDir(pid)); unread == nil && s.TGID != 0 && s.TGID != pid {
			err = &ThreadError{PID: s.TGID}
		}
	}
	if err != nil {
		return nil, &Error{Op: "find", Path: name, Err: err}
	}
	p := &Process{PID: pid, handle: newHandle(pidfd)}
	p.Record = observed(pid, stat)
	p.identified = identity != nil
	if identity != nil && !known {
		p.Record.Identity, p.guessed = *identity, true
	}
	if hasEnded(pidfd) { // and what was read may be about its successor
		p.Close()
		return nil, &Error{Op: "find", Path: name, Err: ErrExited}
	}
	return p, nil
}
