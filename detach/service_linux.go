package detach

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/internal/service"
)

// namePatience is how long to wait for systemd to forget an earlier daemon's
// unit of the same name, once nothing of it runs.
const namePatience = 10 * time.Second

// unitNameOf returns the name of the unit for a daemon. With a PID file it
// follows from the folder and the name of that, whatever path leads there: so
// systemd itself refuses a second one.
func unitNameOf(r *Record, file *pidFile) string {
	var key string
	name := filepath.Base(r.Path)
	if file == nil {
		key = fmt.Sprintf("%d %d", os.Getpid(), time.Now().UnixNano())
	} else {
		var st unix.Stat_t
		_ = unix.Fstat(file.dir, &st)
		key = fmt.Sprintf("%d %d %s", st.Dev, st.Ino, file.name)
		name = strings.TrimSuffix(file.name, ".pid")
	}
	sum := sha256.Sum256([]byte(key))
	return "detach-" + unitWord(name) + hex.EncodeToString(sum[:8]) + ".service"
}

// unitWord is what of a name may be in that of a unit, and not change its
// meaning there, with a hyphen behind.
func unitWord(name string) string {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return -1
	}, name)
	if word == "" {
		return ""
	}
	return word[:min(len(word), 32)] + "-"
}

// maxDescription is how much of a command names a unit, in bytes.
const maxDescription = 200

func description(command []string) string {
	text := strings.ToValidUTF8(strings.Join(command, " "), "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "") + "..."
	}
	return "detach: " + text
}

// unfitError means that something cannot be said to systemd, or is not done by
// it.
type unfitError string

func (e unfitError) Error() string        { return string(e) }
func (e unfitError) Is(target error) bool { return target == errors.ErrUnsupported }

const (
	errElsewhere = unfitError("systemd is in another PID namespace than the caller")
	errOtherFile = unfitError("is another file, or none, outside the mount namespace of the caller")
	errUnlisted  = unfitError("systemd needs an entry in /etc/passwd")
)

// unfit returns why a service cannot be what the double fork would make, or
// nil.
func (c *Cmd) unfit(r *Record, env []string, h *holding, user *account) error {
	if ready := c.Ready.wantsFD(); ready != nil {
		return &Error{Op: "ready", Path: ready.String(), Err: unfitError("systemd passes no such descriptor on")}
	}
	for _, s := range append([]string{r.Path, r.Dir}, c.args()...) {
		if !utf8.ValidString(s) {
			return &Error{Op: "argument", Path: s, Err: unfitError("is not UTF-8, which D-Bus does not pass on")}
		}
	}
	for _, s := range env {
		name, _, _ := strings.Cut(s, "=")
		if isVariable(name) && !utf8.ValidString(s) {
			return &Error{Op: "environment", Path: name, Err: unfitError("is not UTF-8, which D-Bus does not pass on")}
		}
	}
	if unix.Getuid() != unix.Geteuid() || unix.Getgid() != unix.Getegid() {
		return &Error{Op: "user", Err: unfitError("the real and the effective user or group differ, and a service has one of each")}
	}
	for _, path := range []string{r.Dir, r.Path} {
		if !filepath.IsAbs(path) {
			return &Error{Op: "chdir", Path: r.Dir, Err: unix.ENOENT} // the working directory has been deleted
		}
		if !sameFor(h.sandbox.manager, path) {
			return &Error{Op: "find", Path: path, Err: errOtherFile}
		}
	}
	if user != nil && user.unlisted {
		return &Error{Op: "user", Path: c.User, Err: errUnlisted}
	}
	if c.Restart == RestartNo {
		return nil
	}
	for _, path := range []string{r.Stdin, r.Stdout, r.Stderr, r.Console} { // which systemd opens
		if path != "" && path != os.DevNull && !sameFor(h.sandbox.manager, path) {
			return &Error{Op: "open", Path: path, Err: errOtherFile}
		}
	}
	if user == nil {
		return nil
	}
	for _, path := range []string{r.Stdout, r.Stderr} { // the caller's, which at each start the user is to open
		var st unix.Stat_t
		if path != "" && unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Uid != user.UID {
			return &Error{Op: "open", Path: path, Err: ErrNotTheirs}
		}
	}
	return nil
}

// isVariable tells whether systemd takes a name for that of a variable: what
// POSIX says of names.
func isVariable(name string) bool {
	for i, r := range name {
		if !(r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return name != ""
}

// variables returns what of an environment a service can have, each name once
// as getenv(3) finds it, and the names that are left out.
func variables(env []string) (list, lost []string) {
	list = []string{}
	seen := map[string]bool{}
	for _, entry := range env {
		name, _, ok := strings.Cut(entry, "=")
		switch {
		case seen[name]:
		case !ok || !isVariable(name):
			lost = append(lost, name)
		default:
			list = append(list, entry)
		}
		seen[name] = true
	}
	return list, lost
}

// limits are the caller's resource limits, with the RLIMIT_NOFILE that it was
// started with.
func limits() []service.Limit {
	var list []service.Limit
	for _, l := range rlimits {
		var now unix.Rlimit
		if unix.Prlimit(0, l.number, nil, &now) != nil {
			continue
		}
		if l.number == unix.RLIMIT_NOFILE {
			if was := raisedNOFILE(); was != nil {
				now.Cur, now.Max = was.Soft, was.Hard
			}
		}
		list = append(list, service.Limit{Name: strings.ToUpper(l.name), Soft: now.Cur, Hard: now.Max})
	}
	return list
}

// umask is what the double fork would set.
func (c *Cmd) umask() int {
	if c.Umask != nil {
		return *c.Umask
	}
	if own, err := proc.ReadStatus("/proc/self"); err == nil {
		return 0o022 | own.Umask
	}
	return 0o022
}

// lostHazard tells what of an environment a service does not get.
func lostHazard(env []string) []Hazard {
	_, lost := variables(env)
	if len(lost) == 0 {
		return nil
	}
	return []Hazard{{
		Code:   HazardEnvironmentLost,
		Text:   "not in its environment, because systemd passes on no such names: " + quoteOdd(enumerate(lost)),
		Remedy: "if it needs them: detach --via fork",
	}}
}

// serviceSpec is what the double fork of spec would make, for systemd.
func (c *Cmd) serviceSpec(spec *doublefork.Spec, r *Record) *service.Spec {
	env, _ := variables(spec.Env)
	s := &service.Spec{
		Unit:        r.Unit,
		Description: description(r.Command),
		Path:        r.Path,
		Args:        spec.Args,
		Env:         env,
		Dir:         r.Dir,
		Umask:       c.umask(),
		Stdio:       spec.Stdio,
		Limits:      limits(),
		Supervised:  c.Restart != RestartNo,
		Watched:     c.Watchdog > 0,
		Notifies:    c.notifiesSystemd(),
		Properties:  c.supervision(),
	}
	if s.Notifies && !c.Ready.Keep {
		s.StartTimeout = cmp.Or(max(c.Ready.Timeout, 0), readyTimeout) + restartGrace
	}
	if s.Supervised {
		s.Properties = append(s.Properties, service.Property{Name: "StartLimitIntervalUSec", Value: uint64(0)}) // it is never given up
		superviseFiles(s, r)
	}
	if adj, err := oomScoreAdj("/proc/self"); err == nil {
		s.OOMScoreAdj = &adj
	}
	// Who is not root cannot take away from what the service manager has.
	if nice, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err == nil && (20-nice > 0 || unix.Geteuid() == 0) {
		n := 20 - nice // the system call returns it so
		s.Nice = &n
	}
	c.Limits.limitService(s)
	s.Properties = append(s.Properties, c.Limits.properties()...)
	if u := spec.User; u != nil {
		s.User, s.Group = strconv.Itoa(int(u.UID)), strconv.Itoa(int(u.GID))
		for _, gid := range u.Groups {
			s.Groups = append(s.Groups, strconv.Itoa(int(gid)))
		}
	}
	return s
}

// startService has systemd start the program. Only an error of which
// mayForkAfter tells so leaves the way open to start it otherwise.
func (c *Cmd) startService(ctx context.Context, h *holding, spec *service.Spec, r *Record) (doublefork.Process, error) {
	deadline := time.Now().Add(namePatience)
	drop := dropIn{spec.Unit, h.user}
	for {
		var pid int
		err := drop.place(ctx, h.manager, spec)
		if err == nil {
			pid, err = h.manager.Start(ctx, spec)
		}
		if err == service.ErrExists && time.Now().Before(deadline) && ctx.Err() == nil {
			err = c.clearUnit(ctx, h.manager, spec.Unit)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return doublefork.Process{}, c.serviceError(spec, r, err)
		}
		pidfd, _, err := openInUnit(pid, spec.Unit)
		if err == nil {
			if err = r.awaitProgram(ctx, pid, pidfd); err != nil {
				unix.Close(pidfd)
			}
		}
		if err == ErrExited {
			u, _ := h.manager.Look(ctx, spec.Unit)
			err = c.endedAtOnce(spec, r, exitOfUnit(u))
		} else if err != nil {
			err = &Error{Op: "verify", Path: r.Path, Err: err}
		}
		if err != nil {
			return doublefork.Process{}, stopUnit(h.manager, spec.Unit, err)
		}
		if pidfd, err = doublefork.Above2(pidfd); err != nil {
			return doublefork.Process{}, stopUnit(h.manager, spec.Unit, &Error{Op: "dup", Err: err})
		}
		return doublefork.Process{PID: pid, PIDFD: pidfd}, nil
	}
}

// stopUnit stops a unit that must not stay, and returns why it must not.
func stopUnit(m service.Manager, unit string, reason error) error {
	ctx, cancel := context.WithTimeout(context.Background(), namePatience)
	defer cancel()
	if err := m.Stop(ctx, unit); err != nil {
		return &Error{Op: "stop", Path: unit, Err: fmt.Errorf("%w, after: %w", &service.UnansweredError{Unit: unit, Err: err}, reason)}
	}
	return reason
}

// openInUnit opens the main process of a unit. Its PID is the service
// manager's: in another PID namespace that is the number of a stranger.
func openInUnit(pid int, unit string) (pidfd int, stat proc.Stat, err error) {
	pidfd, stat, _, err = openAlive(pid, nil)
	if err != nil {
		return pidfd, stat, err
	}
	check := checkUnit(pid, unit)
	if check.OK {
		return pidfd, stat, nil
	}
	err = fmt.Errorf("%w: %s of PID %d: %s, want %s", ErrNotDetached, check.Name, pid, check.Got, check.Want)
	if hasEnded(pidfd) { // a zombie is in none
		err = ErrExited
	}
	unix.Close(pidfd)
	return -1, stat, err
}

// clearUnit makes room for a unit of this name, where nothing of it runs.
func (c *Cmd) clearUnit(ctx context.Context, m service.Manager, unit string) error {
	u, err := m.Look(ctx, unit)
	switch {
	case err != nil:
		return err
	case u.PID > 0:
		return &RunningError{PID: u.PID}
	case u.Active == "active":
		return fmt.Errorf("processes of an earlier daemon are left in %s: %w", unit, service.ErrExists)
	case u.Gone():
		err = m.Stop(ctx, unit) // somebody may keep it for a moment
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Millisecond):
	}
	return err
}

// serviceError says what a service that was not started was about, in the
// words of the double fork.
func (c *Cmd) serviceError(spec *service.Spec, r *Record, err error) error {
	var running *RunningError
	var failed *service.FailedError
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &running):
		return &Error{Op: "start with", Path: c.resolve(c.PIDFile), Err: running}
	case errors.As(err, &failed) && failed.Result == "failed":
		return c.exitCodeError(spec, r, failed)
	}
	return &Error{Op: "start", Path: spec.Unit, Err: err}
}

// Process exit codes of systemd.exec(5): what failed before the program was
// executed.
const (
	exitChdir = 200
	exitExec  = 203
)

// exitCodeError tells what systemd could not do from what the program has done
// at once: both end the process. Where nothing is wrong with a file it was the
// program, which may exit with any number; or another user, who may not what
// root may.
func (c *Cmd) exitCodeError(spec *service.Spec, r *Record, failed *service.FailedError) error {
	exit := exitOfUnit(failed.Unit)
	ended := c.endedAtOnce(spec, r, exit)
	switch {
	case exit.Signal != 0, exit.Known && exit.Code < exitChdir:
		return ended
	case exit.Code == exitChdir:
		err := unix.Access(spec.Dir, unix.X_OK)
		if err == nil && spec.User != "" {
			err = unix.EACCES
		}
		if err != nil {
			return &Error{Op: "chdir", Path: cmp.Or(c.Dir, spec.Dir), Err: err}
		}
		return ended
	case exit.Known && exit.Code != exitExec:
		return &Error{Op: "start", Path: spec.Unit, Err: fmt.Errorf("%w: exit code %d, see systemd.exec(5)", failed, exit.Code)}
	}
	err := whyNotExecuted(spec.Path, spec.Args, spec.Env)
	if err == nil && spec.User != "" && exit.Code == exitExec {
		err = unix.EACCES
	}
	if err == nil {
		return ended
	}
	return c.execError(spec.Path, spec.Env, err)
}

// endedAtOnce is about a program that ended before it was looked at, or a shell
// that could not execute it.
func (c *Cmd) endedAtOnce(spec *service.Spec, r *Record, exit Exit) error {
	const notExecutable, notFound = 126, 127 // of the shell: exec in POSIX.1
	if r.Restart != RestartNo && r.opener() != nil && (exit.Code == notExecutable || exit.Code == notFound) {
		err := whyNotExecuted(r.Path, r.Command, spec.Env)
		if err == nil && spec.User != "" && exit.Code == notExecutable {
			err = unix.EACCES // root may execute it
		}
		if err != nil {
			return c.execError(r.Path, spec.Env, err)
		}
	}
	return &Error{Op: "verify", Path: r.Path, Err: &endedError{exit: exit}}
}

// endedError is ErrExited of a program that ended before it was looked at.
type endedError struct {
	exit   Exit
	memory int64 // limit, which may be why
}

func (e *endedError) Error() string {
	s := ErrExited.Error()
	if e.memory > 0 {
		s += fmt.Sprintf(", with a limit on memory of %d bytes", e.memory)
	}
	if e.exit.Known {
		s += ": " + e.exit.String()
	}
	return s
}

func (e *endedError) Unwrap() error { return ErrExited }

func exitOfUnit(u service.Unit) Exit {
	switch u.Code {
	case cldExited:
		return Exit{Known: true, Code: u.Status & 0xff}
	case cldKilled, cldDumped:
		return Exit{Known: true, Signal: syscall.Signal(u.Status), Core: u.Code == cldDumped, OOM: u.Result == "oom-kill"}
	}
	return Exit{}
}

// mayForkAfter tells whether after this error of startService nothing runs and
// nothing will: a refusal, not a failure of the program.
func mayForkAfter(err error) bool {
	var failed *service.FailedError
	var unanswered *service.UnansweredError
	var running *RunningError
	var e *Error
	return errors.As(err, &e) && e.Op == "start" && !errors.As(err, &failed) && !errors.As(err, &unanswered) &&
		!errors.As(err, &running) && !errors.Is(err, service.ErrExists) && !errors.Is(err, context.Canceled)
}

// mayRunAfter tells whether after an error of startService something runs, or
// may, that the record leads to.
func mayRunAfter(err error) bool {
	var unanswered *service.UnansweredError
	var running *RunningError
	return errors.As(err, &unanswered) || errors.As(err, &running) || errors.Is(err, service.ErrExists)
}

// pendingPatience is how long a unit may be about to start.
const pendingPatience = time.Minute

// complete makes the record of a unit that whoever asked for it was killed
// before it could write. The error is ErrExited if there is no such daemon.
func (r *Record) complete(ctx context.Context, patience time.Duration) error {
	if boot, err := proc.BootID(); err == nil && !sameBoot(boot, r.BootID) {
		return ErrExited
	}
	m, err := service.Connect(ctx, r.UnitUser)
	if err != nil {
		return fmt.Errorf("whether %s runs cannot be told: %w", r.Unit, err)
	}
	defer m.Close()
	if m.Peer() == 0 {
		return fmt.Errorf("whether %s runs cannot be told: %w", r.Unit, errElsewhere)
	}
	deadline := time.Now().Add(patience)
	for {
		u, err := m.Look(ctx, r.Unit)
		switch {
		case err != nil:
			return fmt.Errorf("whether %s runs cannot be told: %w", r.Unit, err)
		case u.Runs():
			pidfd, stat, err := openInUnit(u.PID, r.Unit)
			if err == ErrExited { // which systemd is about to see
				break
			}
			if err != nil {
				return fmt.Errorf("whether %s runs cannot be told: %w", r.Unit, err)
			}
			is := r.isProgram(u.PID)
			unix.Close(pidfd)
			if !is {
				break
			}
			r.Identity = Identity{PID: u.PID, Start: stat.Start, BootID: r.BootID}
			r.Session = stat.Session
			r.noteCgroup()
			return nil
		case u.Gone(), u.Active == "active":
			return ErrExited
		}
		switch {
		case time.Now().Before(deadline):
		case r.Restart != RestartNo:
			return ErrRestarting
		default:
			return fmt.Errorf("%s is still %s", r.Unit, u.Active)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// checkUnit tells whether a process is in its unit.
func checkUnit(pid int, unit string) Check {
	c := Check{Name: "unit", Want: unit, Got: "none"}
	if cgroup, err := proc.Read(procDir(pid)+"/cgroup", maxCgroup); err == nil {
		if path := unitOf(cgroup); path != "" {
			c.Got = unitName(path)
		}
	}
	c.OK = c.Got == unit
	return c
}

// draft is a record as long as this one can become.
func (r Record) draft() ([]byte, error) {
	boot, _ := proc.BootID()
	r.Identity = Identity{PID: math.MaxInt32, Start: math.MaxUint64, BootID: boot}
	r.Session = math.MaxInt32
	r.Forks = math.MaxUint64
	r.StdoutFrom, r.StderrFrom = math.MaxInt64, math.MaxInt64
	if r.Unit != "" || r.Via == ViaCgroup {
		r.Cgroup = strings.Repeat("/", maxCgroupPath)
		r.CgroupID = math.MaxUint64
	}
	return r.encode()
}
