package detach

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
)

// pidFile is a PID file and its record, within their directory.
//
// A start holds a flock(2) on the directory from before it looks at them until
// the record is in place: no file is left of it, and while the caller may be
// killed at any moment, the clones of the fork keep the lock until the program
// has been exec'd.
type pidFile struct {
	path string // as the user named it
	name string // within dir
	dir  int    // descriptor
	temp int    // descriptor of the prepared PID file, -1 before
	next int    // descriptor of the prepared record, -1 before
	size int    // of the prepared record, in bytes
}

func openPIDDir(path string) (*pidFile, error) {
	dirname, name := filepath.Split(path)
	if dirname == "" {
		dirname = "."
	}
	if name == "" || name == "." || name == ".." {
		return nil, &Error{Op: "open", Path: path, Err: unix.EISDIR}
	}
	dir, err := openAbove2(dirname, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, &Error{Op: "open", Path: dirname, Err: err}
	}
	return &pidFile{path: path, name: name, dir: dir, temp: -1, next: -1}, nil
}

func (f *pidFile) recordName() string { return f.name + ".json" }
func (f *pidFile) tempName() string   { return "." + f.name + ".detach-new" }
func (f *pidFile) nextName() string   { return "." + f.name + ".json.detach-new" }

// owns tells whether a path leads to one of the names that a start replaces.
func (f *pidFile) owns(path string) bool {
	dirname, name := filepath.Split(path)
	if !slices.Contains([]string{f.name, f.recordName(), f.tempName(), f.nextName()}, name) {
		return false
	}
	if dirname == "" {
		dirname = "."
	}
	var own, other unix.Stat_t
	return unix.Fstat(f.dir, &own) == nil && unix.Stat(dirname, &other) == nil && own.Dev == other.Dev && own.Ino == other.Ino
}

// lockPatience is how long to wait for other starts that use the same folder
// for their PID files. One takes milliseconds.
const lockPatience = 30 * time.Second

// lockAgain locks, with a bound of its own.
func (f *pidFile) lockAgain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	return f.lock(ctx)
}

// unlock lets other starts go on; what is to be written after that takes the
// lock again.
func (f *pidFile) unlock() {
	if f != nil {
		_ = unix.Flock(f.dir, unix.LOCK_UN)
	}
}

// rewrite replaces the record of a daemon, where there is one.
func (f *pidFile) rewrite(r *Record) (err error) {
	if f == nil {
		return nil
	}
	if err := f.lockAgain(context.Background()); err != nil {
		return err
	}
	defer f.unlock()
	pid, record, err := f.read()
	if err != nil {
		return err
	}
	if pid != r.PID || record == nil || record.Identity != r.Identity {
		return &Error{Op: "write", Path: f.path + ".json", Err: ErrExited} // it was stopped, its file has gone
	}
	data, err := r.encode()
	if err != nil {
		return &Error{Op: "encode", Path: f.path + ".json", Err: err}
	}
	unix.Close(f.next)
	if f.next, err = f.create(f.nextName()); err != nil {
		return err
	}
	if err = f.commit(data); err != nil {
		_ = unix.Unlinkat(f.dir, f.nextName(), 0)
	}
	return err
}

// lock waits for other starts with a PID file in this directory.
func (f *pidFile) lock(ctx context.Context) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		err := unix.Flock(f.dir, unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
		default:
			return &Error{Op: "lock", Path: filepath.Dir(f.path), Err: err}
		}
		select {
		case <-ctx.Done():
			return &Error{Op: "lock", Path: filepath.Dir(f.path), Err: ctx.Err()}
		case <-time.After(pause):
		}
	}
}

// maxPIDFile is the longest that is taken for a PID file, in bytes: another
// program may write blanks around the number.
const maxPIDFile = 4096

// parsePIDFile parses the content of a PID file, one byte more than maxPIDFile
// at most. It is 0 of an empty one.
func parsePIDFile(data []byte) (pid int, ok bool) {
	if len(data) > maxPIDFile {
		return 0, false
	}
	if data = bytes.TrimSpace(data); len(data) == 0 {
		return 0, true
	}
	n, err := strconv.ParseUint(string(data), 10, 30)
	return int(n), err == nil && n > 0
}

// read returns the PID, 0 if there is no file or an empty one, and the record
// if there is one of that PID.
func (f *pidFile) read() (pid int, record *Record, err error) {
	data, err := f.readFile(f.name, maxPIDFile+1)
	if err != nil {
		return 0, nil, err
	}
	pid, ok := parsePIDFile(data)
	if !ok {
		return 0, nil, &Error{Op: "open", Path: f.path, Err: ErrNotPIDFile}
	}
	data, err = f.readFile(f.recordName(), maxRecord)
	if err != nil {
		return 0, nil, err
	}
	if len(data) == 0 {
		return pid, nil, nil
	}
	r, err := parseRecord(data)
	if err != nil {
		return 0, nil, &Error{Op: "open", Path: f.path + ".json", Err: err}
	}
	switch {
	case pid == 0 && r.Unit != "": // its start was killed before the PID file was in place
		return r.PID, &r, nil
	case r.isEntering() && r.entered(pid):
	case r.PID != pid:
		return pid, nil, nil // of an earlier daemon
	}
	return pid, &r, nil
}

// readFile reads a regular file in the directory; none is an empty one.
func (f *pidFile) readFile(name string, limit int64) ([]byte, error) {
	path := filepath.Join(filepath.Dir(f.path), name)
	fd, err := unix.Openat(f.dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, &Error{Op: "open", Path: path, Err: err}
	}
	data, err := readRegular(fd, limit)
	if err != nil {
		return nil, &Error{Op: "read", Path: path, Err: err}
	}
	return data, nil
}

// claim refuses the start while the process that the file names is alive.
func (f *pidFile) claim(ctx context.Context) error {
	pid, record, err := f.read()
	if err != nil || pid == 0 && record == nil {
		return err
	}
	if record != nil && record.isPending() {
		if !record.ownsUnit(f) {
			return nil
		}
		was := record.Identity
		switch err := record.complete(ctx, pendingPatience); {
		case err == ErrExited:
			_ = record.dropIn().remove()
			return nil
		case err != nil:
			return &Error{Op: "look at", Path: f.path, Err: err}
		}
		pid = record.PID
		f.replace(was, record)
	}
	var identity *Identity
	if record != nil {
		identity = &record.Identity
	}
	pidfd, _, _, err := openAlive(pid, identity)
	if err == nil && record != nil && record.Unit != "" {
		// Its start was killed between the record and the PID file.
		if data, err := f.readFile(f.name, maxPIDFile+1); err == nil && len(data) == 0 {
			f.replace(record.Identity, record)
		}
	}
	if err == ErrExited && record != nil && record.Restart != RestartNo {
		next := *record
		if err = next.follow(ctx, f); err == nil {
			pid = next.PID
			pidfd, _, _, err = openAlive(pid, &next.Identity)
		}
	}
	if err == nil {
		unix.Close(pidfd)
		return &Error{Op: "start with", Path: f.path, Err: &RunningError{PID: pid}}
	}
	if err != ErrExited {
		return &Error{Op: "look at", Path: f.path, Err: err}
	}
	if record == nil {
		return nil
	}
	// The server of a wrapper script that died first holds the world still.
	left, err := findLeft(*record)
	if err != nil {
		return &Error{Op: "look at", Path: f.path, Err: err}
	}
	if len(left) > 0 {
		return &Error{Op: "start with", Path: f.path, Err: &RunningError{PID: pid, Left: left}}
	}
	record.removeCgroup(ctx, 0) // the new one may have the same
	if record.Restart != RestartNo {
		_ = record.dropIn().remove() // the new one may be a fork
	}
	return nil
}

// prepare makes the two files under temporary names, the record with its full
// size, so that a disk without space is noticed before anything is started.
func (f *pidFile) prepare(draft []byte) (err error) {
	if f.temp, err = f.create(f.tempName()); err != nil {
		return err
	}
	if f.next, err = f.create(f.nextName()); err != nil {
		return err
	}
	f.size = len(draft)
	return f.write(draft)
}

func (f *pidFile) create(name string) (int, error) {
	path := filepath.Join(filepath.Dir(f.path), name)
	// One may be left of a start that was killed; the lock says it is nobody's.
	if err := unix.Unlinkat(f.dir, name, 0); err != nil && err != unix.ENOENT {
		return -1, &Error{Op: "create", Path: path, Err: err}
	}
	fd, err := unix.Openat(f.dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return -1, &Error{Op: "create", Path: path, Err: err}
	}
	moved, err := doublefork.Above2(fd)
	if err != nil {
		return moved, &Error{Op: "create", Path: path, Err: err}
	}
	return moved, nil
}

func (f *pidFile) write(data []byte) error {
	for offset := 0; offset < len(data); {
		n, err := unix.Pwrite(f.next, data[offset:], int64(offset))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &Error{Op: "write", Path: f.path + ".json", Err: err}
		}
		offset += n
	}
	return nil
}

// discard removes what is left of a daemon that has ended: the PID file first,
// since a record alone means nothing.
func (f *pidFile) discard() error {
	for _, name := range []string{f.name, f.recordName()} {
		if err := unix.Unlinkat(f.dir, name, 0); err != nil && err != unix.ENOENT {
			return &Error{Op: "remove", Path: filepath.Join(filepath.Dir(f.path), name), Err: err}
		}
	}
	return nil
}

// announce puts the record of an intention in place, and prepares another one
// with its full size.
func (f *pidFile) announce(pending, draft []byte) (err error) {
	if err = f.commit(pending); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.discard()
		}
	}()
	unix.Close(f.next)
	if f.next, err = f.create(f.nextName()); err != nil {
		return err
	}
	return f.write(draft)
}

// place puts the PID file in place.
func (f *pidFile) place(pid int) error {
	data := []byte(strconv.Itoa(pid) + "\n")
	n, err := unix.Pwrite(f.temp, data, 0)
	if err == nil && n < len(data) {
		err = unix.ENOSPC
	}
	if err == nil {
		err = unix.Renameat(f.dir, f.tempName(), f.dir, f.name)
	}
	if err != nil {
		return &Error{Op: "write PID file", Path: f.path, Err: err}
	}
	return nil
}

// commit puts the record in place.
func (f *pidFile) commit(record []byte) error {
	if err := f.write(record); err != nil {
		return err
	}
	err := unix.Ftruncate(f.next, int64(len(record)))
	if err == nil {
		err = unix.Renameat(f.dir, f.nextName(), f.dir, f.recordName())
	}
	if err != nil {
		return &Error{Op: "write", Path: f.path + ".json", Err: err}
	}
	return nil
}

// abandon removes whatever a failed start has left.
func (f *pidFile) abandon() {
	if f.temp >= 0 {
		_ = unix.Unlinkat(f.dir, f.tempName(), 0)
	}
	if f.next >= 0 {
		_ = unix.Unlinkat(f.dir, f.nextName(), 0)
	}
}

func (f *pidFile) close() {
	if f == nil {
		return
	}
	for _, fd := range []int{f.temp, f.next, f.dir} { // the lock last
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// removePIDFile removes the PID file and record of a daemon that has ended, if
// they are still those of this daemon.
func removePIDFile(ctx context.Context, path string, r Record) error {
	if path == "" {
		return nil
	}
	f, err := openPIDDir(path)
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.lock(ctx); err != nil {
		return err
	}
	pid, record, err := f.read()
	same := pid == r.PID && (record == nil || record.Identity == r.Identity)
	if record != nil && record.isPending() {
		same = record.Unit == r.Unit && record.BootID == r.BootID
	}
	if err != nil || !same {
		return err
	}
	if r.Restart != RestartNo {
		_ = r.dropIn().remove()
	}
	// What a start that was killed had prepared: the lock says it is nobody's.
	for _, name := range []string{f.tempName(), f.nextName()} {
		_ = unix.Unlinkat(f.dir, name, 0)
	}
	return f.discard()
}

// readRegular reads and closes a descriptor; what is no regular file is an
// error, what is longer than limit bytes is cut.
func readRegular(fd int, limit int64) ([]byte, error) {
	file := os.NewFile(uintptr(fd), "")
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, unix.EISDIR
	}
	if !info.Mode().IsRegular() {
		return nil, unix.EINVAL
	}
	return io.ReadAll(io.LimitReader(file, limit))
}
