package detach

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

const (
	stopTimeout     = 30 * time.Second
	consolePatience = 5 * time.Second        // for a daemon to read its console
	lookAgain       = 100 * time.Millisecond // for processes that were forked meanwhile
	maxFreezeLooks  = 20                     // at a session that forks, before it is killed
	hopPause        = time.Millisecond       // for a process that cannot be held
)

// stopFile stops what a PID file names. A daemon that has ended may have left
// others behind in its session.
func stopFile(ctx context.Context, path string, o StopOptions) (Stopped, error) {
	began := time.Now()
	for {
		p, err := open(path)
		if err == nil {
			defer p.Close()
			return p.stop(ctx, o)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return Stopped{How: StopGone}, nil
		}
		if errors.Is(err, ErrRestarting) {
			return stopRestarting(ctx, path, began)
		}
		if !errors.Is(err, ErrExited) {
			return Stopped{}, err
		}
		p, err = openEnded(path)
		var running *RunningError
		switch {
		case errors.As(err, &running): // another one was started in between
			continue
		case errors.Is(err, fs.ErrNotExist):
			return Stopped{How: StopGone}, nil
		case err != nil:
			return Stopped{}, err
		}
		p.guessed = false // there is nobody to be mistaken for it
		return p.stop(ctx, o)
	}
}

// stopping is a stop that is under way.
type stopping struct {
	p       *Process
	signal  syscall.Signal
	members map[int]*stopMember // by PID
	loose   []proc.Process      // seen in the last look, and not held
	ours    bool                // what was seen in it is known to be the daemon's
	hops    bool                // nothing was seen, but its process group is there
	family  bool                // what descends from it too
	exit    Exit
	result  Stopped

	killedGroup bool         // see killLoose
	zombies     map[int]bool // seen in that group
}

// stopMember is a process that was checked to belong to the daemon. While it
// has not been reaped its session keeps its number, so it vouches for others.
type stopMember struct {
	proc.Process
	pidfd                    int // -1 once it has ended
	signalled, frozen, tried bool
	denied                   bool
	contained                bool // it is signalled once what runs its container has ended
}

func (p *Process) stop(ctx context.Context, o StopOptions) (_ Stopped, err error) {
	began := time.Now()
	name := cmp.Or(p.pidFile, strconv.Itoa(p.PID))
	failed := func(err error) (Stopped, error) { return Stopped{}, &Error{Op: "stop", Path: name, Err: err} }
	if p.guessed {
		return failed(ErrNoRecord)
	}
	if err := p.spareCaller(); err != nil {
		return failed(err)
	}
	s := &stopping{p: p, signal: unix.SIGTERM, members: map[int]*stopMember{}, zombies: map[int]bool{}, family: o.family}
	if o.Signal != nil {
		number, ok := o.Signal.(syscall.Signal)
		if !ok || number < 1 || number > 64 {
			return failed(unix.EINVAL)
		}
		s.signal = number
	}
	if err := proc.Check(); err != nil {
		return Stopped{}, &Error{Op: "stop", Path: "/proc", Err: err}
	}
	if err := ctx.Err(); err != nil {
		return failed(err)
	}
	again, err := p.supervisor(ctx)
	if err != nil {
		return failed(err)
	}
	defer again.close()
	defer s.close()
	if err := s.holdDaemon(); err != nil {
		return failed(err)
	}
	deadline := time.Now().Add(cmp.Or(max(o.Timeout, 0), stopTimeout)) // systemd may have taken its time
	if o.Timeout < 0 {
		deadline = began
	} else if line := s.console(o); line != "" && s.alive(p.PID) {
		if m := s.members[p.PID]; m.State == 'T' { // it would not read
			s.sendTo(m, unix.SIGCONT)
		}
		short, cancel := context.WithTimeout(ctx, min(consolePatience, time.Until(deadline)))
		if err := p.send(short, line); err == nil {
			s.result.Console = line
		} else { // there is the signal
			s.result.Note = consoleNote(err)
		}
		cancel()
		if err := ctx.Err(); err != nil {
			return failed(err)
		}
	}
	if err := s.run(ctx, o.Progress, began, deadline); err != nil {
		return failed(err)
	}
	s.result.Took = time.Since(began)
	if err := again.callOff(ctx); err != nil { // at once
		return failed(err)
	}
	if exit, err := p.wait(ctx); err == nil && exit.Known {
		s.exit = exit
	}
	s.result.Exit = s.exit
	s.result.How = s.how()
	p.forget(ctx)
	return s.result, removePIDFile(ctx, p.pidFile, p.Record)
}

func (s *stopping) console(o StopOptions) string {
	if o.Console == "" && o.Signal == nil {
		return s.p.Record.StopConsole
	}
	return o.Console
}

func (s *stopping) how() StopWay {
	switch {
	case len(s.result.Killed) > 0 || s.killedGroup:
		return StopKilled
	case s.result.Console != "":
		return StopConsole
	case s.result.Signal != "":
		return StopSignal
	}
	return StopGone
}

// run signals and waits until nothing is left: two looks in a row have to find
// nothing, since a look at /proc is not a snapshot. What cannot be held, since
// it forks and ends faster than it is found, counts as found.
func (s *stopping) run(ctx context.Context, progress func(StopProgress), began, deadline time.Time) error {
	var told time.Time
	for empty := 0; ; {
		if err := s.look(); err != nil {
			return err
		}
		killing := !time.Now().Before(deadline)
		switch {
		case killing:
			if err := s.kill(); err != nil {
				return err
			}
		case s.result.Console == "" || !s.alive(s.p.PID):
			s.send()
		}
		left := s.left()
		if len(left)+len(s.loose) == 0 && !s.hops {
			if empty++; empty == 2 {
				return nil
			}
			continue
		}
		empty = 0
		if len(left) == 0 && !s.ours {
			return &LeftError{PIDs: pidsOf(s.loose)}
		}
		if len(left) > 0 && !slices.ContainsFunc(left, func(pid int) bool { return !s.members[pid].denied }) {
			return unix.EPERM
		}
		if progress != nil && time.Since(told) >= 2*lookAgain {
			told = time.Now()
			progress(StopProgress{Elapsed: time.Since(began), Left: append(left, pidsOf(s.loose)...), Killing: killing})
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		pause := lookAgain
		if len(left) == 0 {
			pause = hopPause
		}
		if !killing {
			pause = min(pause, time.Until(deadline))
		}
		s.await(pause)
	}
}

// holdDaemon takes hold of the daemon itself, by the pidfd it was found with.
func (s *stopping) holdDaemon() error {
	if s.p.handle == nil {
		return nil
	}
	return control(s.p.handle, func(fd int) error {
		stat, err := proc.ReadStat(s.p.PID)
		if err != nil || stat.Start != s.p.Record.Start {
			stat = proc.Stat{Start: s.p.Record.Start} // hidden, or gone
		}
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		s.members[s.p.PID] = &stopMember{Process: proc.Process{PID: s.p.PID, Stat: stat}, pidfd: dup}
		return nil
	})
}

// look takes hold of what is new in the daemon's sessions, and lets go of what
// has ended.
func (s *stopping) look() error {
	list, err := looks.take()
	if err != nil {
		return err
	}
	for _, m := range s.members {
		s.letGo(m)
	}
	members := s.p.members
	if s.family {
		members = s.p.family
	}
	found := members(list)
	contained := s.p.contained(list)
	s.loose = nil
	s.ours = s.p.ours(list)
	s.hops = len(found) == 0 && s.ours && s.p.groupLives(list, s.zombies)
	for _, q := range found {
		if m := s.members[q.PID]; q.PID == os.Getpid() || m != nil && m.pidfd >= 0 {
			if m != nil && s.p.is(q) {
				m.Session = q.Session // it may have made one of its own
			}
			continue
		}
		m, err := s.hold(q)
		if err != nil {
			return err
		}
		if m == nil {
			s.loose = append(s.loose, q)
			continue
		}
		m.contained = contained[q.PID]
		s.members[q.PID] = m
	}
	return nil
}

// hold opens a process and then checks that it belongs to the daemon. It
// returns nil if it does not, or has ended.
func (s *stopping) hold(q proc.Process) (*stopMember, error) {
	pidfd, err := unix.PidfdOpen(q.PID, 0)
	switch err {
	case nil:
	case unix.ESRCH, unix.EINVAL, unix.ENOENT:
		return nil, nil
	default: // too many open files
		return nil, err
	}
	stat, err := proc.ReadStat(q.PID)
	if err == nil && stat.Start == q.Start && stat.Session == q.Session && s.belongs(q) && !hasEnded(pidfd) {
		return &stopMember{Process: proc.Process{PID: q.PID, Stat: stat}, pidfd: pidfd}, nil
	}
	unix.Close(pidfd)
	return nil, nil
}

func (s *stopping) belongs(q proc.Process) bool {
	if s.ours {
		return true
	}
	for _, m := range s.members {
		if m.Session != q.Session {
			continue
		}
		if m.pidfd >= 0 && !hasEnded(m.pidfd) {
			return true
		}
		if stat, err := proc.ReadStat(m.PID); err == nil && stat.Start == m.Start && stat.Session == m.Session {
			return true // a zombie
		}
	}
	return s.p.Record.cgroupMembers()[q.PID]
}

// letGo closes the pidfd of a process that has ended.
func (s *stopping) letGo(m *stopMember) {
	if m.pidfd < 0 || !hasEnded(m.pidfd) {
		return
	}
	if m.PID == s.p.PID { // sooner is better: it is told of a zombie
		s.exit = exitNow(m.pidfd, s.p.Identity())
	}
	unix.Close(m.pidfd)
	m.pidfd = -1
}

// send sends each process the signal once, and continues it: one that is
// stopped would not act on it. How a container is stopped is up to what runs it;
// what is in there is asked when nobody is left to do that.
func (s *stopping) send() {
	outside := false
	for _, m := range s.members {
		outside = outside || !m.contained && s.alive(m.PID)
	}
	for _, m := range s.members {
		if m.signalled || m.pidfd < 0 || m.contained && outside {
			continue
		}
		m.signalled = true
		if s.sendTo(m, s.signal) {
			s.result.Signal = signalName(s.signal)
			if s.signal != unix.SIGKILL && s.signal != unix.SIGCONT {
				s.sendTo(m, unix.SIGCONT)
			}
		}
	}
}

func (s *stopping) sendTo(m *stopMember, sig syscall.Signal) bool {
	err := unix.PidfdSendSignal(m.pidfd, sig, nil, 0)
	m.denied = err == unix.EPERM
	return err == nil
}

// kill stops all processes first, so that none forks while others are killed.
// Whatever it meets on the way, those that it has stopped it kills.
func (s *stopping) kill() (err error) {
	for range maxFreezeLooks {
		news := false
		for _, m := range s.members {
			if m.pidfd >= 0 && !m.frozen {
				m.frozen, news = true, true
				s.sendTo(m, unix.SIGSTOP)
			}
		}
		if !news {
			break
		}
		if err = s.look(); err != nil {
			break
		}
	}
	for _, m := range s.members {
		if m.pidfd < 0 || m.tried {
			continue
		}
		m.tried = true
		if s.sendTo(m, unix.SIGKILL) {
			s.result.Killed = append(s.result.Killed, m.PID)
		}
	}
	if err == nil && s.ours {
		s.killLoose()
	}
	slices.Sort(s.result.Killed)
	return err
}

// killLoose kills what forks and ends faster than it can be held, by the process
// group that it was born in: at once, with what is being forked. The group has
// the number of the session, which is known to be the daemon's.
func (s *stopping) killLoose() {
	born := s.p.Record.Session
	inGroup := func(q proc.Process) bool { return q.Session == born && q.Group == born }
	if !s.hops && !slices.ContainsFunc(s.loose, inGroup) || !s.p.bornInGroup() {
		return
	}
	if unix.Kill(-born, unix.SIGKILL) == nil {
		s.result.Killed = append(s.result.Killed, pidsOf(s.loose)...)
		s.killedGroup = true
	}
}

func (s *stopping) alive(pid int) bool {
	m := s.members[pid]
	return m != nil && m.pidfd >= 0 && !hasEnded(m.pidfd)
}

// left are the processes that have not ended.
func (s *stopping) left() []int {
	var left []int
	for pid := range s.members {
		if s.alive(pid) {
			left = append(left, pid)
		}
	}
	slices.Sort(left)
	return left
}

// await waits until one of the processes ends.
func (s *stopping) await(timeout time.Duration) {
	var fds []unix.PollFd
	for _, m := range s.members {
		if m.pidfd >= 0 {
			fds = append(fds, unix.PollFd{Fd: int32(m.pidfd), Events: unix.POLLIN})
		}
	}
	_, _ = unix.Poll(fds, int(timeout.Milliseconds())+1) // the next look tells
}

func (s *stopping) close() {
	for _, m := range s.members {
		if m.pidfd >= 0 {
			unix.Close(m.pidfd)
		}
	}
}
