package detach

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/service"
)

// What systemd is told by D-Bus it writes into a unit file of its own, and after
// a daemon-reload that file is all that it knows. Some versions, such as 252,
// write a command with odd words so that they do not read it again, or read
// another one, and then nothing is started again. So a drop-in says to systemd
// what it is to start, in words that it reads.

const (
	dropInName     = "exec.conf"
	dropInTempName = ".exec.conf.detach-new"
)

// maxUnitLine is more than systemd reads of a line of a unit file, in bytes:
// LONG_LINE_MAX in its src/basic/fileio.h.
const maxUnitLine = 1 << 20

// dropIn is the folder of a unit's drop-in.
type dropIn struct {
	unit string
	user int // whose service manager
}

func (r *Record) dropIn() dropIn { return dropIn{r.Unit, r.UnitUser} }

func (d dropIn) name() string { return d.unit + ".d" }

func (d dropIn) path() string {
	return "/" + strings.Join(append(d.parents(), d.name(), dropInName), "/")
}

// parents lead to where the service manager looks for it.
func (d dropIn) parents() []string {
	if d.user == 0 {
		return []string{"run", "systemd", "system"}
	}
	return []string{"run", "user", strconv.Itoa(d.user), "systemd", "user"}
}

// isOwn tells whether a unit has a name of this package: a record may say
// anything, and root reads it.
func (d dropIn) isOwn() bool {
	name, ok := strings.CutSuffix(d.unit, ".service")
	return ok && strings.HasPrefix(name, "detach-") && !strings.ContainsFunc(name, func(r rune) bool { return r != '-' && !isVariable("_"+string(r)) })
}

// open opens the folder and the one that it is in, through no symbolic link: a
// user may have put one there, for root to follow. What is missing is made.
func (d dropIn) open(missing bool) (parent, dir int, err error) {
	parent, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, err
	}
	for i, name := range d.parents() {
		// The folders of the machine's are there where systemd is.
		next, err := openFolder(parent, name, missing && d.user != 0 && i > 2)
		unix.Close(parent)
		if parent = next; err != nil {
			return -1, -1, err
		}
	}
	if dir, err = openFolder(parent, d.name(), missing); err != nil {
		unix.Close(parent)
		return -1, -1, err
	}
	return parent, dir, nil
}

func openFolder(parent int, name string, missing bool) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	dir, err := unix.Openat(parent, name, flags, 0)
	if err == unix.ENOENT && missing {
		if err = unix.Mkdirat(parent, name, 0o755); err == nil || err == unix.EEXIST {
			dir, err = unix.Openat(parent, name, flags, 0)
		}
	}
	return dir, err
}

// place makes the drop-in for a service that is about to be started, or makes
// sure that there is none. The error is service.ErrExists while there is a unit
// of that name: then it is that one's.
func (d dropIn) place(ctx context.Context, m service.Manager, s *service.Spec) error {
	wanted := s.Supervised && !s.PlainWords()
	if !wanted && !d.exists() {
		return nil
	}
	switch u, err := m.Look(ctx, d.unit); {
	case err != nil:
		return &Error{Op: "look at", Path: d.unit, Err: err}
	case !u.Gone():
		return service.ErrExists
	}
	if !wanted {
		return d.failed("remove", d.remove())
	}
	d.sweep(ctx, m)
	text, err := dropInText(s)
	if err != nil {
		return err
	}
	return d.failed("write", d.write(text))
}

// sweepAge is far more than a start takes: what is younger may be of one that has
// yet to ask systemd.
const sweepAge = time.Hour

// sweep removes the drop-ins of daemons that ended long ago without being asked
// for since: there may be no PID file to ask by.
func (d dropIn) sweep(ctx context.Context, m service.Manager) {
	found, _ := filepath.Glob(dropIn{"detach-*.service", d.user}.path())
	for _, path := range found {
		other := dropIn{strings.TrimSuffix(filepath.Base(filepath.Dir(path)), ".d"), d.user}
		old := func() bool {
			file, err := os.Lstat(path)
			return err == nil && time.Since(file.ModTime()) >= sweepAge
		}
		if !old() || !other.isOwn() || other == d {
			continue
		}
		u, err := m.Look(ctx, other.unit)
		if err != nil {
			return
		}
		if u.Gone() && old() {
			_ = other.remove()
		}
	}
}

func (d dropIn) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Path: d.path(), Err: err}
}

// dropInText replaces the command, in the words of a unit file.
func dropInText(s *service.Spec) (string, error) {
	f := &unitLines{}
	f.section("Service")
	f.plain("ExecStart", "") // the empty one forgets what was said before
	path, args := throughShell(s.Path, s.Args)
	f.command("ExecStart", "@"+path, args...)
	return f.text, f.err
}

func (d dropIn) exists() bool {
	parent, dir, err := d.open(false)
	if err != nil {
		return false
	}
	unix.Close(parent)
	unix.Close(dir)
	return true
}

// write puts the file in place. The names are this package's, and by the lock on
// the PID file nobody else's of the same unit.
func (d dropIn) write(text string) (err error) {
	parent, dir, err := d.open(true)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	defer unix.Close(dir)
	defer func() {
		if err != nil {
			_ = d.removeFrom(parent, dir)
		}
	}()
	if err = unix.Unlinkat(dir, dropInTempName, 0); err != nil && err != unix.ENOENT {
		return err
	}
	fd, err := unix.Openat(dir, dropInTempName, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err = unix.Fchmod(fd, 0o644); err != nil { // whatever the umask
		return err
	}
	for data := []byte(text); len(data) > 0; {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return unix.Renameat(dir, dropInTempName, dir, dropInName)
}

// remove removes what write has made, and leaves what others have put there.
func (d dropIn) remove() error {
	if !d.isOwn() {
		return nil
	}
	parent, dir, err := d.open(false)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	defer unix.Close(dir)
	return d.removeFrom(parent, dir)
}

func (d dropIn) removeFrom(parent, dir int) error {
	for _, name := range []string{dropInName, dropInTempName} {
		if err := unix.Unlinkat(dir, name, 0); err != nil && err != unix.ENOENT {
			return err
		}
	}
	err := unix.Unlinkat(parent, d.name(), unix.AT_REMOVEDIR)
	if err == unix.ENOTEMPTY || err == unix.EEXIST || err == unix.ENOENT {
		return nil
	}
	return err
}

// removeUnused is for a daemon that has been found to have ended, and may be that
// for good.
func (n named) removeUnused(ctx context.Context) {
	if n.pidFile == "" || n.record == nil || !n.record.dropIn().exists() {
		return
	}
	f, err := openPIDDir(n.pidFile)
	if err != nil {
		return
	}
	defer f.close()
	ctx, cancel := context.WithTimeout(ctx, forgetPatience)
	defer cancel()
	if f.lock(ctx) != nil { // who is about to start has it
		return
	}
	if _, record, err := f.read(); err != nil || record == nil || record.Unit != n.record.Unit {
		return
	}
	m, err := service.Connect(ctx, n.record.UnitUser)
	if err != nil {
		return
	}
	defer m.Close()
	if u, err := m.Look(ctx, n.record.Unit); err == nil && u.Gone() {
		_ = n.record.dropIn().remove()
	}
}
