package detach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
	"github.com/detachkit/detach/detach/internal/nofile"
	"github.com/detachkit/detach/detach/internal/proc"
)

// start takes the steps that can fail with a good message first, and those
// that leave something behind last.
func (c *Cmd) start(ctx context.Context) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: "start", Path: c.Path, Err: err}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	ready, err := c.Ready.prepare(c.notifiesSystemd())
	if err != nil {
		return nil, err
	}
	defer ready.close()
	h, err := c.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer h.close()
	p, file, err := c.launch(ctx, ready, h)
	var ended *endedError
	if errors.As(err, &ended) && len(c.Ready.When) > 0 {
		var e *Error
		errors.As(err, &e)
		return nil, ready.endedAtOnce(e.Path, ended.exit)
	}
	if ended != nil {
		ended.memory = c.Limits.Memory
	}
	if err != nil {
		return nil, err
	}
	defer p.heldBy(nil)
	defer file.close()
	if len(c.Ready.When) == 0 {
		return p, nil
	}
	ready.started()
	file.unlock() // other starts go on meanwhile
	err = p.settle(file, ready.await(ctx, p), c.Ready.Keep)
	var notReady *NotReadyError
	if err != nil && !(c.Ready.Keep && errors.As(err, &notReady)) {
		p.Close()
		p = nil
	}
	return p, err
}

// launch starts and verifies the program. The file that it returns, nil if
// there is none, is locked.
func (c *Cmd) launch(ctx context.Context, ready *readying, h *holding) (_ *Process, _ *pidFile, err error) {
	user, err := c.account()
	if err != nil {
		return nil, nil, err
	}
	env := ready.environ(user.environ(c.env()))
	path, err := c.find(env)
	if err != nil {
		return nil, nil, err
	}
	spec := &doublefork.Spec{Path: path, Args: c.args(), Env: env, Dir: c.Dir, Umask: -1, NOFILE: raisedNOFILE()}
	if c.Umask != nil {
		spec.Umask = *c.Umask
	}
	if user != nil {
		spec.User = &user.User
	}
	c.Limits.limit(spec)
	if ready.write >= 0 {
		spec.Notify = &doublefork.Notify{FD: ready.write, As: ready.as}
	}
	record := c.record(path)
	record.Via = h.via
	if h.via == ViaSystemd {
		if err := c.unfit(&record, env, h, user); err != nil && !h.auto {
			return nil, nil, err
		} else if err != nil {
			h.fork(err)
			record.Via = ViaFork
		}
		if err := record.checkUnitWords(); err != nil {
			return nil, nil, err
		}
	}
	hazards := append(c.placeHazards(h, env), h.hazards...)
	if h.via == ViaSystemd {
		hazards = append(hazards, lostHazard(env)...)
	}
	if err := c.strictly(hazards); err != nil {
		return nil, nil, err
	}
	if log := c.Ready.wantsLog(); log != nil && len(record.logs()) == 0 {
		return nil, nil, &Error{Op: "ready", Path: log.String(), Err: ErrNoLog}
	}

	var file *pidFile
	if c.PIDFile != "" {
		if file, err = c.claimPIDFile(ctx, &record); err != nil {
			return nil, nil, err
		}
		defer func() {
			if err != nil {
				file.abandon()
				file.close()
			}
		}()
	}
	stdio, err := openStdio(c, user)
	if err != nil {
		return nil, nil, err
	}
	defer stdio.close()
	spec.Stdio = stdio.fds
	record.StdoutFrom, record.StderrFrom = sizeOf(stdio.fds[1]), sizeOf(stdio.fds[2])
	ready.logsOf = record

	if file != nil {
		if err := file.discard(); err != nil {
			return nil, nil, err
		}
		spec.PIDFile = &doublefork.PIDFile{Dir: file.dir, Temp: file.tempName(), Name: file.name, FD: file.temp}
	}
	wanted := h.via
	daemon, cgroup, met, err := c.bear(ctx, h, spec, &record, file)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if cgroup.close(); err != nil {
			cgroup.remove()
		}
	}()
	p := &Process{PID: daemon.PID, Record: record, handle: newHandle(daemon.PIDFD), pidFile: record.PIDFile}
	p.heldBy(h.manager)
	if err = p.confirm(daemon, c.manager(), cgroup, file); err != nil {
		if errors.Is(err, ErrExited) {
			exit := p.exitSoon(ctx, len(c.Ready.When) > 0)
			err = &Error{Op: "verify", Path: record.Path, Err: &endedError{exit: exit}}
		}
		return nil, nil, p.undo(file, err)
	}
	if h.via != ViaSystemd { // the daemon was checked for it
		hazards = slices.DeleteFunc(hazards, func(z Hazard) bool { return z.Code == HazardReaper })
	}
	if wanted == ViaSystemd && h.via == ViaFork { // after all
		hazards = slices.DeleteFunc(hazards, func(z Hazard) bool { return z.Code == HazardEnvironmentLost })
	}
	p.Report.Hazards = slices.Concat(p.Report.Hazards, hazards, met, stdio.hazards)
	return p, file, nil
}

// strictly refuses what could still end or cripple the daemon, with Strict.
func (c *Cmd) strictly(hazards []Hazard) error {
	if !c.Strict || len(hazards) == 0 {
		return nil
	}
	return &Error{Op: "start", Path: c.Path, Err: &HazardError{hazards}}
}

// bear starts the program as it is to be held. Where auto may not have it from
// systemd it is forked.
func (c *Cmd) bear(ctx context.Context, h *holding, spec *doublefork.Spec, record *Record, file *pidFile) (daemon doublefork.Process, cgroup *ownCgroup, met []Hazard, err error) {
	switch h.via {
	case ViaCgroup:
		return c.bearCgroup(ctx, h, spec, record, file)
	case ViaSystemd:
		daemon, err = c.bearService(ctx, h, spec, record, file)
		if err == nil || !h.auto || !mayForkAfter(err) {
			return daemon, nil, nil, err
		}
		h.fork(errors.Unwrap(err))
		record.Via, record.Unit, record.UnitUser = ViaFork, "", 0
		if err := c.strictly(h.hazards); err != nil {
			return daemon, nil, nil, err
		}
		met = h.hazards
	}
	daemon, err = c.bearFork(spec, file)
	return daemon, nil, met, err
}

func (c *Cmd) bearFork(spec *doublefork.Spec, file *pidFile) (doublefork.Process, error) {
	daemon, err := doublefork.Start(spec)
	if err != nil {
		if file != nil {
			_ = file.discard() // killed after it was in place
		}
		return daemon, c.forkError(spec.Path, err)
	}
	return daemon, nil
}

// bearService has its intention on record before systemd is asked. So at every
// instant the daemon runs and there is a record that leads to it, or neither.
func (c *Cmd) bearService(ctx context.Context, h *holding, spec *doublefork.Spec, record *Record, file *pidFile) (doublefork.Process, error) {
	if err := c.forShell(record, spec.Env); err != nil {
		return doublefork.Process{}, err
	}
	if record.Unit == "" {
		record.Unit, record.UnitUser = unitNameOf(record, file), h.user
	}
	if file != nil {
		if err := record.announce(file); err != nil {
			return doublefork.Process{}, err
		}
	}
	service := c.serviceSpec(spec, record)
	service.Properties = append(service.Properties, h.sandbox.properties...)
	daemon, err := c.startService(ctx, h, service, record)
	if err != nil && !mayRunAfter(err) {
		_ = record.dropIn().remove()
		if file != nil {
			_ = file.discard()
		}
	}
	return daemon, err
}

// announce puts the intention on record.
func (r *Record) announce(file *pidFile) error {
	draft, err := r.draft()
	pending := *r
	pending.BootID, _ = proc.BootID()
	data, pendingErr := pending.encode()
	if err = errors.Join(err, pendingErr); err != nil {
		return &Error{Op: "encode", Path: file.path + ".json", Err: err}
	}
	return file.announce(data, draft)
}

// check refuses what cannot work before anything is touched.
func (c *Cmd) check() error {
	for _, s := range append([]string{string(c.Via), c.Path, c.Dir, c.PIDFile, c.Stdin, c.Stdout, c.Stderr, c.Console, c.StopConsole, c.User, c.Cgroup}, c.Args...) {
		if strings.ContainsRune(s, 0) {
			return &Error{Op: "argument", Path: strings.ReplaceAll(s, "\x00", `\0`), Err: unix.EINVAL}
		}
	}
	for _, s := range c.Env {
		if strings.ContainsRune(s, 0) {
			return &Error{Op: "environment", Path: strings.ReplaceAll(s, "\x00", `\0`), Err: unix.EINVAL}
		}
	}
	if c.Umask != nil && *c.Umask&^0o777 != 0 {
		return &Error{Op: "umask", Err: unix.EINVAL}
	}
	if c.Dir != "" {
		var st unix.Stat_t
		err := unix.Stat(c.Dir, &st)
		if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			err = unix.ENOTDIR
		}
		if err != nil {
			return &Error{Op: "chdir", Path: c.Dir, Err: err}
		}
	}
	if c.StopConsole != "" && c.Console == "" {
		return &Error{Op: "stop console", Path: c.StopConsole, Err: ErrNoConsole}
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	if err := c.checkSupervision(); err != nil {
		return err
	}
	if err := checkLine(c.StopConsole); err != nil {
		return &Error{Op: "stop console", Path: c.StopConsole, Err: err}
	}
	if err := proc.Check(); err != nil {
		return &Error{Op: "verify", Path: "/proc", Err: err}
	}
	return c.Ready.check()
}

func (c *Cmd) manager() int {
	if c.Manager != 0 {
		return c.Manager
	}
	return os.Getpid()
}

// raisedNOFILE returns the RLIMIT_NOFILE to go back to if the current one is
// what package syscall has made of it: the test is that of syscall/rlimit.go
// and syscall/exec_linux.go. A manager that has set its own limit keeps it.
func raisedNOFILE() *nofile.Limit {
	was, known := nofile.Original()
	if !known || was.Hard == 0 || was.Soft >= was.Hard-1 {
		return nil
	}
	var now unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &now); err != nil || now.Cur != was.Hard-1 || now.Max != was.Hard {
		return nil
	}
	return &was
}

// record is what is known before the start.
func (c *Cmd) record(path string) Record {
	cwd, err := os.Getwd()
	absolute := func(path string) string {
		if path == "" {
			return ""
		}
		path = c.resolve(path)
		if !filepath.IsAbs(path) && err == nil { // the working directory may have been deleted
			path = cwd + "/" + path
		}
		if strings.Contains(path, "..") { // behind a symbolic link it means something else
			return path
		}
		return filepath.Clean(path)
	}
	r := Record{
		Version:     recordVersion,
		Path:        absolute(path),
		Command:     c.args(),
		Dir:         absolute("."),
		Stdin:       absolute(c.Stdin),
		Stdout:      absolute(cmp.Or(c.Stdout, c.Stderr)),
		Stderr:      absolute(cmp.Or(c.Stderr, c.Stdout)),
		Console:     absolute(c.Console),
		PIDFile:     absolute(c.PIDFile),
		Started:     time.Now().UTC(),
		User:        c.User,
		Limits:      c.limitsForRecord(),
		StopConsole: c.StopConsole,
		Restart:     c.Restart,
		Forks:       forks(),
	}
	if r.Stdout == "" {
		r.Stdout, r.Stderr = inherited(1), inherited(2)
	}
	if len(c.Ready.When) > 0 {
		r.Ready, r.Readiness, r.Starter = c.Ready.words(), ReadinessWaiting, self()
	}
	return r
}

// claimPIDFile makes sure, for as long as the file is not closed, that no other
// daemon has it, and prepares the new one.
func (c *Cmd) claimPIDFile(ctx context.Context, r *Record) (_ *pidFile, err error) {
	file, err := openPIDDir(c.resolve(c.PIDFile))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.abandon()
			file.close()
		}
	}()
	for _, path := range []string{c.Stdin, c.Stdout, c.Stderr, c.Console} {
		if path != "" && file.owns(c.resolve(path)) {
			return nil, &Error{Op: "open", Path: c.resolve(path), Err: ErrIsPIDFile}
		}
	}
	if err = file.lockAgain(ctx); err != nil {
		return nil, err
	}
	if err = file.claim(ctx); err != nil {
		return nil, err
	}
	if _, err := proc.BootID(); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, &Error{Op: "read", Path: "boot_id", Err: err}
	}
	if r.Via == ViaSystemd {
		r.Unit, r.UnitUser = unitNameOf(r, file), unix.Geteuid()
	}
	draft, err := r.draft()
	if err != nil {
		return nil, &Error{Op: "encode", Path: file.path + ".json", Err: err}
	}
	return file, file.prepare(draft)
}

// forkError says what a step of the double fork was about.
func (c *Cmd) forkError(path string, err error) error {
	var step *doublefork.Error
	if !errors.As(err, &step) {
		return &Error{Op: "fork", Err: err}
	}
	e := &Error{Op: step.Step.String(), Err: step.Errno}
	switch step.Step {
	case doublefork.Chdir:
		e.Path = c.Dir
	case doublefork.DupStdin:
		e.Path = cmp.Or(c.Console, c.Stdin)
	case doublefork.DupStdout:
		e.Path = cmp.Or(c.Stdout, c.Stderr)
	case doublefork.DupStderr:
		e.Path = cmp.Or(c.Stderr, c.Stdout)
	case doublefork.WritePIDFile, doublefork.PlacePIDFile:
		e.Path = c.resolve(c.PIDFile)
	case doublefork.EnterCgroup:
		e.Path = cmp.Or(c.Cgroup, "of its own")
	case doublefork.SetLimit:
		e.Path = c.Limits.rlimitWords()
	case doublefork.SetNice:
		e.Path = strconv.Itoa(*c.Limits.Nice)
	case doublefork.SetOOMScore:
		e.Path = strconv.Itoa(*c.Limits.OOMScoreAdj)
	case doublefork.SetGroups, doublefork.SetGID, doublefork.SetUID, doublefork.DropCapabilities:
		e.Path = c.User
	case doublefork.Exec:
		e.Path = path
		if step.Errno == unix.ENOENT {
			e.Err = interpreterError(c.resolve(path), step.Errno)
		}
	}
	return e
}

// confirm verifies the daemon and writes its record.
func (p *Process) confirm(d doublefork.Process, manager int, cgroup *ownCgroup, file *pidFile) error {
	report, stat, err := verify(d, manager, p.Record.Unit)
	boot, _ := proc.BootID()
	p.Record.Identity = Identity{PID: d.PID, Start: stat.Start, BootID: boot}
	if err != nil {
		return &Error{Op: "verify", Path: p.Record.Path, Err: err}
	}
	if cgroup != nil {
		check := checkCgroup(d.PID, cgroup)
		if report.Checks = append(report.Checks, check); !check.OK {
			if hasEnded(d.PIDFD) { // a zombie is in none
				return &Error{Op: "verify", Path: p.Record.Path, Err: ErrExited}
			}
			return &Error{Op: "verify", Path: p.Record.Path, Err: fmt.Errorf("%w: cgroup: %s, want %s", ErrNotDetached, check.Got, check.Want)}
		}
	}
	p.Report = report
	p.Record.Session = d.Intermediate
	if p.Record.Unit != "" {
		p.Record.Session = d.PID // systemd has made it
		p.Record.noteCgroup()
		if l := p.Record.Limits; l != nil {
			if err := l.fulfilled(d.PID); err != nil {
				return err
			}
		}
	}
	if file == nil {
		return nil
	}
	data, err := p.Record.encode()
	if err != nil {
		return &Error{Op: "encode", Path: file.path + ".json", Err: err}
	}
	if err := file.commit(data); err != nil || p.Record.Unit == "" {
		return err
	}
	return file.place(d.PID)
}

// exitPatience is how long a start that has failed waits to be told how the
// program ended, where nobody waits for it to be ready.
const exitPatience = 200 * time.Millisecond

func (p *Process) exitSoon(ctx context.Context, waitedFor bool) Exit {
	if !waitedFor {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, exitPatience)
		defer cancel()
	}
	exit, _ := p.wait(ctx)
	return exit
}

// undo ends a daemon that must not stay, and returns why it must not. The lock
// on the directory is held.
func (p *Process) undo(file *pidFile, reason error) error {
	defer p.Close()
	if err := control(p.handle, doublefork.Kill); err != nil && err != unix.ESRCH {
		// A set-user-ID program, for one. Its PID file is true: leave it.
		return &Error{Op: "kill", Path: strconv.Itoa(p.PID), Err: fmt.Errorf("%w, after: %w", err, reason)}
	}
	_ = control(p.handle, func(fd int) error { reapEnded(fd); return nil })
	if p.Record.Unit != "" {
		ctx, cancel := context.WithTimeout(context.Background(), namePatience)
		defer cancel()
		if err := p.held.Stop(ctx, p.Record.Unit); err != nil {
			return &Error{Op: "stop", Path: p.Record.Unit, Err: fmt.Errorf("%w, after: %w", err, reason)}
		}
		_ = p.Record.dropIn().remove()
	}
	if file != nil {
		_ = file.discard()
	}
	return reason
}
