package detach

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
)

const (
	readyTimeout = 90 * time.Second
	firstLook    = 5 * time.Millisecond // at what announces nothing: a port, a log
	seldomLook   = 200 * time.Millisecond
	closedAtExit = time.Second // for the end of a process after that of its descriptors
)

// readying waits until a daemon is ready. It is made before the start.
type readying struct {
	Ready
	socket    *notifySocket // nil if not asked for
	read      int           // the ends of the pipe of NotifyFD, -1 if not asked for
	write, as int
	logsOf    Record // for a program that ends at once
	logs      *logLines
	began     time.Time
	deadline  time.Time
	waiting   []Condition
	status    string
	reason    string
	closed    time.Time // when the pipe was closed without a newline
	notified  bool
	bySystemd bool // is notified, and not socket
	newline   bool
	matched   map[string]bool // LogLine that was there
}

// prepare makes what the conditions need and the daemon inherits.
func (r *Ready) prepare(bySystemd bool) (_ *readying, err error) {
	w := &readying{Ready: *r, read: -1, write: -1, waiting: slices.Clone(r.When), matched: map[string]bool{}, bySystemd: bySystemd}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	for _, c := range r.When {
		switch c := c.(type) {
		case Notify:
			if bySystemd {
				break
			}
			if w.socket, err = newNotifySocket(); err != nil {
				return nil, &Error{Op: "ready", Path: c.String(), Err: err}
			}
		case NotifyFD:
			if err = w.pipe(); err != nil {
				return nil, &Error{Op: "ready", Path: c.String(), Err: err}
			}
			w.as = int(c)
		}
	}
	return w, nil
}

func (w *readying) pipe() (err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	w.read, w.write = fds[0], fds[1]
	for _, fd := range []*int{&w.read, &w.write} {
		if *fd, err = doublefork.Above2(*fd); err != nil {
			return err
		}
	}
	return unix.SetNonblock(w.read, true)
}

func (w *readying) close() {
	if w.socket != nil {
		w.socket.close()
	}
	w.started()
	if w.read >= 0 {
		unix.Close(w.read)
		w.read = -1
	}
	if w.logs != nil {
		w.logs.close()
	}
}

// started closes what is the daemon's alone.
func (w *readying) started() {
	if w.write >= 0 {
		unix.Close(w.write)
		w.write = -1
	}
}

// environ adds what the daemon has to know.
func (w *readying) environ(env []string) []string {
	if w.socket == nil && !w.bySystemd {
		return env
	}
	const name = "NOTIFY_SOCKET="
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool { return len(entry) >= len(name) && entry[:len(name)] == name })
	if w.bySystemd { // which adds its own
		return env
	}
	return append(env, name+w.socket.name)
}

// await waits until the daemon is ready: nil, or a *NotReadyError.
func (w *readying) await(ctx context.Context, p *Process) error {
	wake, err := newWake(ctx)
	if err != nil {
		return &NotReadyError{Err: err, Waiting: w.waiting}
	}
	defer wake.close()
	w.logs = newLogLines(p.Record)
	w.began = time.Now()
	w.deadline = w.began.Add(readyTimeout)
	if w.Timeout > 0 {
		w.deadline = w.began.Add(w.Timeout)
	}
	if w.Ready.Waiting != nil {
		w.Ready.Waiting(p)
	}
	told := w.began
	for pause := firstLook; ; pause = min(2*pause, seldomLook) {
		// In this order: what it said before it ended counts.
		err := w.look(ctx, p)
		now := time.Now()
		switch {
		case err != nil:
			return w.failed(p, err)
		case p.hasEnded():
			return w.failed(p, ErrExited)
		case !w.closed.IsZero() && !w.newline && now.Sub(w.closed) >= closedAtExit:
			w.reason = "it closed its notification descriptor"
			return w.failed(p, ErrFailed)
		case len(w.waiting) == 0:
			return nil
		case ctx.Err() != nil:
			return w.failed(p, ctx.Err())
		case !now.Before(w.deadline):
			return w.failed(p, context.DeadlineExceeded)
		}
		if w.Progress != nil && now.Sub(told) >= seldomLook {
			told = now
			w.Progress(ReadyProgress{PID: p.PID, Elapsed: now.Sub(w.began), Waiting: slices.Clone(w.waiting), Status: w.status})
		}
		w.sleep(p, wake, w.until(now, pause))
	}
}

// until returns how long nothing has to be looked at.
func (w *readying) until(now time.Time, pause time.Duration) time.Duration {
	wait := w.deadline.Sub(now)
	if w.Progress != nil {
		wait = min(wait, seldomLook)
	}
	if len(w.Fail) > 0 {
		wait = min(wait, pause)
	}
	if !w.closed.IsZero() {
		wait = min(wait, w.closed.Add(closedAtExit).Sub(now))
	}
	for _, c := range w.waiting {
		switch c := c.(type) {
		case Alive:
			wait = min(wait, w.began.Add(time.Duration(c)).Sub(now))
		case TCP, LogLine:
			wait = min(wait, pause)
		case Notify:
			if w.bySystemd {
				wait = min(wait, pause)
			}
		}
	}
	return max(wait, 0)
}

// sleep waits for an event, and no longer than it is told to.
func (w *readying) sleep(p *Process, wake *wake, wait time.Duration) {
	_ = control(p.handle, func(pidfd int) error {
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: int32(wake.fd), Events: unix.POLLIN}}
		if w.socket != nil {
			fds = append(fds, unix.PollFd{Fd: int32(w.socket.fd), Events: unix.POLLIN})
		}
		if w.read >= 0 && !w.newline && w.closed.IsZero() {
			fds = append(fds, unix.PollFd{Fd: int32(w.read), Events: unix.POLLIN})
		}
		_, err := unix.Poll(fds, int((wait+time.Millisecond-1)/time.Millisecond))
		return err // an interruption is a reason to look as good as any
	})
}

// look looks at everything once and takes what holds off the list. An error
// means that the daemon has failed.
func (w *readying) look(ctx context.Context, p *Process) error {
	if err := w.lookAtMessages(p); err != nil {
		return err
	}
	if err := w.lookAtUnit(ctx, p); err != nil {
		return err
	}
	w.lookAtPipe()
	if err := w.lookAtLogs(); err != nil {
		return err
	}
	w.waiting = slices.DeleteFunc(w.waiting, func(c Condition) bool {
		switch c := c.(type) {
		case Alive:
			return time.Since(w.began) >= time.Duration(c) && !p.hasEnded()
		case Notify:
			return w.notified
		case NotifyFD:
			return w.newline
		case TCP:
			err := p.listens(ctx, c)
			if err != nil && !errors.Is(err, errNotListening) {
				w.reason = err.Error()
			}
			return err == nil
		case LogLine:
			return w.matched[c.String()]
		}
		return false
	})
	return nil
}

func (w *readying) lookAtMessages(p *Process) error {
	for w.socket != nil {
		n, stranger, ok := w.socket.receive(p)
		if !ok {
			break
		}
		if stranger != "" {
			w.reason = stranger
			continue
		}
		if n.status != "" {
			w.status = n.status
		}
		if n.errno != 0 {
			return w.refused(n.errno)
		}
		if n.extend > 0 {
			w.extend(n.extend)
		}
		w.notified = w.notified || n.ready
	}
	return nil
}

// lookAtUnit asks systemd what the daemon has told it.
func (w *readying) lookAtUnit(ctx context.Context, p *Process) error {
	if !w.bySystemd || w.notified || p.held == nil {
		return nil
	}
	u, err := p.held.Look(ctx, p.Record.Unit)
	if err != nil {
		if ctx.Err() == nil {
			w.reason = err.Error()
		}
		return nil
	}
	if u.Text != "" {
		w.status = u.Text
	}
	if u.Errno > 0 {
		return w.refused(unix.Errno(u.Errno))
	}
	w.notified = u.Active == "active" && u.PID == p.PID
	return nil
}

// refused is for a daemon that has said that it failed.
func (w *readying) refused(errno unix.Errno) error {
	w.reason = errno.Error()
	if w.status != "" {
		w.reason = w.status + ": " + w.reason
	}
	return ErrFailed
}

// extend lets the daemon have at least so long from now on.
func (w *readying) extend(d time.Duration) {
	if until := time.Now().Add(d); until.After(w.deadline) {
		w.deadline = until
	}
}

func (w *readying) lookAtPipe() {
	var buf [256]byte
	for w.read >= 0 && !w.newline && w.closed.IsZero() {
		n, err := unix.Read(w.read, buf[:])
		switch {
		case err == unix.EINTR:
		case err != nil: // nothing yet
			return
		case n == 0:
			w.closed = time.Now()
		default:
			w.newline = slices.Contains(buf[:n], '\n')
		}
	}
}

func (w *readying) lookAtLogs() error {
	if w.Ready.wantsLog() == nil {
		return nil
	}
	var failed error
	err := w.logs.read(func(line []byte) bool {
		for _, re := range w.Fail {
			if failed == nil && re.Match(line) {
				failed = ErrFailed
				w.reason = string(line)
			}
		}
		for _, c := range w.waiting {
			if log, ok := c.(LogLine); ok && log.Match(line) {
				w.matched[c.String()] = true
			}
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// endedAtOnce is the error of a daemon that ended before it could be looked at.
// What it said before counts.
func (w *readying) endedAtOnce(path string, exit Exit) error {
	w.logs = newLogLines(w.logsOf)
	e := &NotReadyError{Err: ErrExited, Exit: exit, Waiting: w.waiting}
	if w.lookAtLogs() == ErrFailed {
		e = &NotReadyError{Err: ErrFailed, Reason: w.reason, Waiting: w.waiting}
	}
	e.Log = w.logs.tail()
	return &Error{Op: "start", Path: path, Err: e}
}

// failed collects what there is to say. It takes a moment of a daemon that has
// ended, until it is known how.
func (w *readying) failed(p *Process, reason error) error {
	e := &NotReadyError{Err: reason, Reason: w.reason, Waiting: w.waiting, Status: w.status}
	if reason == ErrExited {
		e.Reason = ""
		if exit, err := p.wait(context.Background()); err == nil {
			e.Exit = exit
		}
	}
	e.Log = w.logs.tail()
	return e
}
