package detach

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/service"
)

// restartPause is how long systemd waits before it starts a program again. It is
// also what Stop has, from the end of the program, to call that off.
const restartPause = time.Second

// minWatchdog is the shortest time that is of use. systemd takes what is less
// than a microsecond for never.
const minWatchdog = time.Millisecond

// supervised tells whether systemd is to look after the daemon.
func (c *Cmd) supervised() bool { return c.Restart != RestartNo || c.Watchdog != 0 }

// checkSupervision refuses what no systemd will do.
func (c *Cmd) checkSupervision() error {
	switch c.Restart {
	case RestartNo, RestartOnFailure, RestartAlways:
	default:
		return &Error{Op: "restart", Path: string(c.Restart), Err: unix.EINVAL}
	}
	if c.Watchdog < 0 || c.Watchdog > 0 && c.Watchdog < minWatchdog {
		return &Error{Op: "watchdog", Path: c.Watchdog.String(), Err: invalidError("is to be " + minWatchdog.String() + " or more, or 0 for never")}
	}
	if c.supervised() && c.Via != ViaAuto && c.Via != ViaSystemd {
		e := &Error{Op: "restart", Path: string(c.Restart), Err: ErrNotSupervised}
		if c.Restart == RestartNo {
			e.Op, e.Path = "watchdog", c.Watchdog.String()
		}
		return e
	}
	return nil
}

// notifiesSystemd tells whether readiness by notification is systemd's to await:
// NOTIFY_SOCKET is one variable, and a process that is started again has it too.
func (c *Cmd) notifiesSystemd() bool { return c.supervised() && c.Ready.wantsNotify() }

// restartGrace is how much longer systemd waits for READY=1 than Start, so that
// it is Start that tells.
const restartGrace = 10 * time.Second

// supervision are the properties of the unit.
func (c *Cmd) supervision() []service.Property {
	var list []service.Property
	if c.Restart != RestartNo {
		list = append(list,
			service.Property{Name: "Restart", Value: string(c.Restart)},
			service.Property{Name: "RestartUSec", Value: uint64(restartPause / time.Microsecond)})
	}
	if c.Watchdog > 0 || c.notifiesSystemd() {
		list = append(list, service.Property{Name: "NotifyAccess", Value: "all"})
	}
	if c.Watchdog > 0 {
		list = append(list, service.Property{Name: "WatchdogUSec", Value: uint64(c.Watchdog / time.Microsecond)})
	}
	return list
}

// openedByShell has a shell open standard files and execute the program, where
// opener says so.
func (r *Record) openedByShell(path string, args []string) (string, []string) {
	opener := r.opener()
	if opener == nil {
		return path, args
	}
	return shell, append(append(opener, path), args[1:]...)
}

const shell = "/bin/sh"

// opener are the words of a shell that opens standard files and executes the words
// that follow: a console, which systemd would open for reading only, so that it is
// at its end with the last writer; and all of them where they are another user's,
// who could lead root astray with a symbolic link at the next start. It is nil
// where all can be left to systemd.
func (r *Record) opener() []string {
	script, files := `exec <"$1"`, []string{cmp.Or(r.Console, r.Stdin, os.DevNull)}
	outputs := r.User != "" && r.Stdout != ""
	switch {
	case r.Console != "":
		script = `[ -e "$1" ] || command -p mkfifo -m 0600 -- "$1" || exit; [ -p "$1" ] || { echo "$1: not a FIFO" >&2; exit 1; }; exec <>"$1"`
	case r.User == "" || r.Stdin == "" && !outputs:
		return nil
	}
	if outputs {
		script += `; shift; exec >>"$1" 2>>"$2"; shift; unset JOURNAL_STREAM`
		files = append(files, r.Stdout, r.Stderr)
	}
	return append([]string{"sh", "-c", script + `; shift; exec "$@"`, "sh"}, files...)
}

// checkUnitWords refuses paths that are lost when systemd reads the unit again.
func (r *Record) checkUnitWords() error {
	if r.Restart == RestartNo {
		return nil
	}
	r.withoutDots()
	f := &unitLines{}
	for _, l := range [][2]string{{"WorkingDirectory", r.Dir}, {"StandardInput", r.Stdin}, {"StandardOutput", r.Stdout}, {"StandardError", r.Stderr}} {
		if l[1] != "" {
			f.path(l[0], "", l[1])
		}
	}
	return f.err
}

// superviseFiles names the files of standard input, output and error, which
// systemd opens at each start, if no shell does.
func superviseFiles(s *service.Spec, r *Record) {
	set := func(name, value string) {
		s.Properties = append(s.Properties, service.Property{Name: name, Value: value})
	}
	s.Path, s.Args = r.openedByShell(s.Path, s.Args)
	for _, f := range r.openedBySystemd() {
		switch {
		case f.path == "":
			set(f.name, "null")
		case f.name == "StandardInput":
			set(f.name+"File", f.path)
		default:
			set(f.name+"FileToAppend", f.path)
		}
	}
}

// standardFile is a file that systemd opens; without a path it is /dev/null.
type standardFile struct{ name, path string }

// openedBySystemd are the standard files that openedByShell leaves to systemd.
// What the shell itself has to say goes where systemd has put it: into the
// journal.
func (r *Record) openedBySystemd() []standardFile {
	files := []standardFile{{"StandardInput", r.Stdin}, {"StandardOutput", r.Stdout}, {"StandardError", r.Stderr}}
	if r.User != "" && r.Stdout != "" {
		files = files[:1]
	}
	for i := range files {
		if r.User != "" || files[i].path == os.DevNull {
			files[i].path = ""
		}
	}
	return files
}

// withoutDots takes the ".." out of the paths, which systemd does not take.
func (r *Record) withoutDots() {
	for _, p := range []*string{&r.Dir, &r.Path, &r.Stdin, &r.Stdout, &r.Stderr, &r.Console} {
		if !hasDots(*p) {
			continue
		}
		name := ""
		folder := *p
		if p != &r.Dir && filepath.Base(folder) != ".." {
			folder, name = filepath.Split(folder)
		}
		if real, err := filepath.EvalSymlinks(folder); err == nil {
			*p = filepath.Join(real, name)
		}
	}
}

func hasDots(path string) bool { return strings.Contains(path+"/", "/../") }

// followPatience is how long a program that is being started again may take.
const followPatience = 5 * time.Second

// follow finds the process that systemd has started in place of the one on
// record. It is no stranger: the process is in the unit of this PID file. The error
// is ErrExited if there is none, and ErrRestarting if none stays.
func (r *Record) follow(ctx context.Context, f *pidFile) error {
	if r.Restart == RestartNo || !r.ownsUnit(f) {
		return ErrExited
	}
	return r.complete(ctx, followPatience)
}

// ownsUnit tells whether the unit on record is that of the PID file, and not of
// the one that it was copied from.
func (r *Record) ownsUnit(f *pidFile) bool {
	return r.Unit != "" && f != nil && unitNameOf(r, f) == r.Unit
}

// stopRestarting stops a unit whose program does not stay up, and may be up at the
// moment: then systemd sends it SIGTERM.
func stopRestarting(ctx context.Context, path string, began time.Time) (Stopped, error) {
	failed := func(err error) (Stopped, error) {
		return Stopped{}, &Error{Op: "stop", Path: path, Err: err}
	}
	named, err := readNamed(path)
	if err != nil {
		return Stopped{}, err
	}
	if named.record == nil || named.record.Unit == "" {
		return failed(ErrNoRecord)
	}
	m, err := service.Connect(ctx, named.record.UnitUser)
	if err != nil {
		return failed(err)
	}
	defer m.Close()
	if err := m.Stop(ctx, named.record.Unit); err != nil {
		return failed(err)
	}
	return Stopped{How: StopSignal, Signal: signalName(unix.SIGTERM), Took: time.Since(began)}, removePIDFile(ctx, named.pidFile, *named.record)
}

// adopt puts the process that systemd has started on record in place of what
// was there, unless somebody has changed that since. Who may not write there, or
// does not get the lock, goes on without.
func (f *pidFile) adopt(was Identity, r *Record) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if f.lock(ctx) != nil {
		return
	}
	defer f.unlock()
	_, record, err := f.read()
	if err == nil && record != nil && record.Identity == was {
		f.replace(was, r)
	}
}

// replace is adopt for who has the lock. The files stay their owner's: root does
// not take them away from a user.
func (f *pidFile) replace(was Identity, r *Record) {
	var st unix.Stat_t
	if unix.Fstatat(f.dir, f.recordName(), &st, unix.AT_SYMLINK_NOFOLLOW) != nil || int(st.Uid) != unix.Geteuid() {
		return
	}
	data, err := r.encode()
	if err != nil {
		return
	}
	record := func() error { return f.commit(data) }
	pid := func() error { return f.place(r.PID) }
	// Whoever is killed in between leaves what leads to the daemon: a record is
	// believed without a PID file, and not beside one of another PID.
	steps := []func() error{pid, record}
	if was.PID == 0 {
		steps = []func() error{record, pid}
	}
	if err = f.prepare(data); err == nil {
		if err = steps[0](); err == nil {
			err = steps[1]()
		}
	}
	if err != nil {
		f.abandon()
	}
}
