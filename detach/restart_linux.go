package detach

import (
	"context"
	"os"
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

// throughConsole has a shell open a console and execute the program: systemd
// opens a FIFO for reading only, which is at its end with the last writer.
func throughConsole(console, path string, args []string) (shell string, all []string) {
	return "/bin/sh", append([]string{"sh", "-c", `exec <>"$0" && exec "$@"`, console, path}, args[1:]...)
}

// checkUnitWords refuses paths that are lost when systemd reads the unit again.
func (r *Record) checkUnitWords() error {
	if r.Restart == RestartNo {
		return nil
	}
	f := &unitLines{}
	for _, l := range [][2]string{{"WorkingDirectory", r.Dir}, {"StandardInput", r.Stdin}, {"StandardOutput", r.Stdout}, {"StandardError", r.Stderr}} {
		if l[1] != "" {
			f.path(l[0], "", l[1])
		}
	}
	return f.err
}

// superviseFiles names the files of standard input, output and error, which
// systemd opens at each start.
func superviseFiles(s *service.Spec, r *Record) {
	set := func(name, value string) {
		s.Properties = append(s.Properties, service.Property{Name: name, Value: value})
	}
	switch {
	case r.Console != "":
		s.Path, s.Args = throughConsole(r.Console, s.Path, s.Args)
		set("StandardInput", "null")
	case r.Stdin != "":
		set("StandardInputFile", r.Stdin)
	default:
		set("StandardInput", "null")
	}
	for _, l := range [][2]string{{"StandardOutput", r.Stdout}, {"StandardError", r.Stderr}} {
		if l[1] == "" || l[1] == os.DevNull {
			set(l[0], "null")
		} else {
			set(l[0]+"FileToAppend", l[1])
		}
	}
}

// follow finds the process that systemd has started in place of the one on
// record. It is no stranger: the unit is of this PID file and of no other, and
// the process is in it. The error is ErrExited if there is none.
func (r *Record) follow(ctx context.Context) error {
	if r.Restart == RestartNo || r.Unit == "" {
		return ErrExited
	}
	return r.complete(ctx)
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

// replace is adopt for who has the lock.
func (f *pidFile) replace(was Identity, r *Record) {
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
