//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A stage is what a death happens on: a nest, and a manager that has been told
// to launch a probe there.
//
// The manager always runs in a session, and in a process group, of its own:
// what is done to those can reach neither the tester nor the user's shell.
type stage struct {
	nest    *nest
	set     staging
	manager *process
	probe   *process // nil until launched
	// launcher is the PID of what the manager has run, if that is known.
	launcher int
	// bornAt and restedAt are when the probe was born and when the launcher
	// had ended; zero where it seems to stay.
	bornAt, restedAt time.Time

	// leader is the leader of the session and detachtest's child: the manager
	// itself, or the shell in whose terminal it runs.
	leader *process
	cmd    *exec.Cmd // of leader

	// terminal is the session's controlling terminal, nil where it has none.
	terminal *terminal

	// socket and remarks lead to the manager, nil where it is the user's own.
	socket  io.ReadWriteCloser
	remarks chan remark
	// door is where a manager that somebody else starts connects to.
	door *net.UnixListener

	// What the death has prepared: the steps before the manager, what is in
	// its environment, and which processes there were before it.
	prelude []string
	cookies map[string]string
	before  map[string]bool
	// cgroup is the folder of the manager's, unit the one of systemd's that it
	// is in. Closing keyboard ends the login session that it is in. contained:
	// it is PID 1 of a PID namespace.
	cgroup    string
	unit      string
	keyboard  io.Closer
	contained bool

	// cleanups are done at the end, the last first.
	cleanups []func() error
}

// later has something done when the stage is torn down.
func (s *stage) later(cleanup func() error) {
	s.cleanups = append(s.cleanups, cleanup)
}

// A staging is how a stage is set.
type staging struct {
	// prepare makes ready what is needed before the manager starts.
	prepare func(*stage) error
	// start starts the manager where it is not simply the leader of a session.
	start func(*stage, *exec.Cmd) error
	// terminal: the manager runs in the foreground of a terminal.
	terminal bool
	// adopts: the leader of the session, which is not the manager, adopts
	// orphans, so that all that was started is found below it.
	adopts bool
	// parentSig is the parent-death signal of the launcher.
	parentSig unix.Signal
	// faults are what the launcher inherits, or a manager of the user's own.
	faults []string
	// target is the file in the nest that is launched. Empty means the probe.
	target string
	// waits: a manager of detachtest's own does not launch before it is told.
	waits bool
	// acquires: the probe tries for a terminal.
	acquires bool
}

// raise starts a manager for the launcher in the nest. The stage must be torn
// down whatever raise returns.
//
// Precondition: the goroutine is locked to its thread until the stage is torn
// down. The session leader's parent-death signal is that of the thread.
func raise(n *nest, l launcher, set staging) (*stage, error) {
	s := &stage{nest: n, set: set}
	start := set.start
	switch {
	case start != nil:
	case set.terminal || set.adopts:
		start = (*stage).startInTerminal
	default:
		start = (*stage).start
	}
	var err error
	if set.prepare != nil {
		err = set.prepare(s)
	}
	if err != nil {
		return s, fmt.Errorf("prepare: %w", err)
	}
	cmd, err := s.prepare(l.in(n))
	if err == nil {
		err = start(s, cmd)
	}
	for _, theirs := range cmd.ExtraFiles {
		_ = theirs.Close()
	}
	if err != nil {
		return s, fmt.Errorf("start manager: %w", err)
	}
	return s, nil
}

// prepare returns the manager, not started. Its ExtraFiles are to be closed by
// the caller in any case.
func (s *stage) prepare(l launcher) (*exec.Cmd, error) {
	target := s.nest.probe()
	if s.set.target != "" {
		target = s.nest.path(s.set.target)
	}
	words := l.command(target)
	if len(s.set.faults) > 0 {
		var err error
		if words, err = careless(s.nest.dir, s.set.faults, words); err != nil {
			return &exec.Cmd{}, err
		}
	}
	if s.set.acquires {
		if err := os.WriteFile(s.nest.path(acquireFile), nil, 0o600); err != nil {
			return &exec.Cmd{}, err
		}
	}
	environ := os.Environ()
	for name, value := range s.cookies {
		environ = append(environ, name+"="+value)
	}
	if l.manager {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Env = append(environ, "DETACHTEST_PROBE="+target, "DETACHTEST_PIDFILE="+s.nest.path(pidFile))
		if cmd.Err != nil {
			return cmd, &launchError{cause: cmd.Err.Error()}
		}
		return cmd, s.addPrelude(cmd)
	}
	role := managerWord
	if s.set.waits {
		role = waitingManagerWord
	}
	cmd, err := reexec(role, slices.Concat([]string{strconv.Itoa(int(s.set.parentSig))}, words))
	if err != nil {
		return cmd, err
	}
	cmd.Env = environ
	socket, err := s.openSocket()
	if err != nil {
		return cmd, err
	}
	cmd.ExtraFiles = []*os.File{socket} // managerSocket
	return cmd, s.addPrelude(cmd)
}

// addPrelude has the manager take the steps that the death wants first.
func (s *stage) addPrelude(cmd *exec.Cmd) error {
	if len(s.prelude) == 0 {
		return nil
	}
	self, err := os.Executable()
	cmd.Args = withPrelude(self, s.prelude, slices.Concat([]string{cmd.Path}, cmd.Args[1:]))
	cmd.Path = self
	return err
}

// reexec returns this program in another role.
func reexec(role string, words []string) (*exec.Cmd, error) {
	self, err := os.Executable()
	return exec.Command(self, slices.Concat([]string{role}, words)...), err
}

// start starts the manager as the leader of the session.
func (s *stage) start(cmd *exec.Cmd) error {
	out, err := os.OpenFile(s.nest.path(outputFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	err = s.startLeader(cmd)
	s.manager = s.leader
	return err
}

// startInTerminal starts a shell as the leader of the session, and the manager
// as its foreground job.
func (s *stage) startInTerminal(cmd *exec.Cmd) error {
	terminal, slave, err := openTerminal()
	if err != nil {
		return err
	}
	defer func() { _ = slave.Close() }()
	s.terminal = terminal

	reader, report, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()

	shell, err := reexec(shellWord, cmd.Args)
	if err == nil && s.set.adopts {
		var words []string
		if words, err = careless(s.nest.dir, []string{faultSubreaper}, shell.Args); err == nil {
			shell = exec.Command(words[0], words[1:]...)
		}
	}
	if err != nil {
		_ = report.Close()
		return err
	}
	shell.Env = cmd.Env
	shell.Stdin, shell.Stdout, shell.Stderr = slave, slave, slave
	shell.ExtraFiles = append([]*os.File{report}, cmd.ExtraFiles...) // shellReport, shellSocket
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = s.startLeader(shell)
	_ = report.Close()
	if err != nil {
		return err
	}
	var pid int
	if _, err := fmt.Fscanln(reader, &pid); err != nil {
		return &launchError{"the manager could not be started in a terminal", s.output()}
	}
	// The shell never waits for it: the PID means this process.
	job, err := readStat(pid)
	if err != nil {
		return err
	}
	s.manager, err = hold(job.identity)
	return err
}

// startLeader starts the leader of the session. It does not outlive the tester.
func (s *stage) startLeader(cmd *exec.Cmd) error {
	pidfd := -1
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	cmd.SysProcAttr.PidFD = &pidfd
	if err := cmd.Start(); err != nil {
		return err
	}
	// Nobody has waited for it yet: the PID means this process.
	st, err := readStat(cmd.Process.Pid)
	if err == nil && pidfd < 0 {
		err = fmt.Errorf("open pidfd: %w", errors.ErrUnsupported)
	}
	if err != nil {
		_, _ = cmd.Process.Kill(), cmd.Wait()
		return err
	}
	s.cmd, s.leader = cmd, holdPidfd(st.identity, pidfd)
	return nil
}

// openSocket opens the connection to the manager and returns its end.
func (s *stage) openSocket() (theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	s.listen(os.NewFile(uintptr(pair[0]), "manager"))
	return os.NewFile(uintptr(pair[1]), "tester"), nil
}

// listen takes what the manager says.
func (s *stage) listen(socket io.ReadWriteCloser) {
	s.socket = socket
	// Nobody has to listen: there is room for all that a manager ever says.
	s.remarks = make(chan remark, 8)
	go func(remarks chan<- remark) {
		defer close(remarks)
		decoder := json.NewDecoder(socket)
		for {
			var r remark
			if decoder.Decode(&r) != nil {
				return // the manager is dead
			}
			remarks <- r
		}
	}(s.remarks)
}

// order has the manager do something and returns its answer.
func (s *stage) order(order string, isAnswer func(remark) bool) (remark, error) {
	if _, err := io.WriteString(s.socket, order+"\n"); err != nil {
		return remark{}, fmt.Errorf("order manager to %s: %w", order, err)
	}
	for {
		select {
		case r, ok := <-s.remarks:
			if !ok {
				return remark{}, fmt.Errorf("order manager to %s: it has ended", order)
			}
			if isAnswer(r) {
				return r, nil
			}
		case <-time.After(orderTimeout):
			return remark{}, fmt.Errorf("order manager to %s: no answer in %v", order, orderTimeout)
		}
	}
}

// orderTimeout is how long a manager that does nothing else may take to obey.
const orderTimeout = 10 * time.Second

// ownPipes returns the pipes that the manager has open, as /proc names them. The
// manager is detachtest's own, so they are those between it and the launcher.
func (s *stage) ownPipes() ([]string, error) {
	dir := fmt.Sprintf("/proc/%d/fd", s.manager.pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var pipes []string
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(link, "pipe:") {
			pipes = append(pipes, link)
		}
	}
	if len(pipes) == 0 {
		return nil, errors.New("the manager has no pipes")
	}
	return pipes, nil
}

// signalGroup signals the manager's process group. The manager was started as
// its leader and is not reaped before the stage is torn down, so the group's
// number cannot have passed to another one.
func (s *stage) signalGroup(sig unix.Signal) error {
	if err := unix.Kill(-s.manager.pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to group %d: %w", unix.SignalName(sig), s.manager.pid, err)
	}
	return nil
}

// killSession kills whatever is in the manager's session, until nothing is.
// The session's number is as safe as the group's: its leader is not reaped.
func (s *stage) killSession() error {
	for {
		members, err := processes(func(p stat) bool { return p.session == s.leader.pid })
		if err != nil || len(members) == 0 {
			return err
		}
		if err := killAll(members); err != nil {
			return err
		}
	}
}

// output is what the manager has written, for a diagnosis.
func (s *stage) output() string {
	data, _ := os.ReadFile(s.nest.path(outputFile))
	if s.terminal != nil {
		data = append(data, s.terminal.screen()...)
	}
	return string(data[max(0, len(data)-keptOutput):])
}

// tearDown kills and removes what the stage was made of. Whatever a launcher
// has started besides is left to the sweep.
func (s *stage) tearDown() error {
	var errs []error
	if s.probe != nil {
		errs = append(errs, s.probe.kill())
	}
	if s.leader != nil {
		errs = append(errs, s.leader.kill(), s.killSession())
		_ = s.cmd.Wait() // of no interest how it ended
		s.leader.release()
	}
	if s.manager != nil && s.manager != s.leader {
		errs = append(errs, s.manager.kill())
		s.manager.reap()
		s.manager.release()
	}
	if s.probe != nil {
		s.probe.reap()
		s.probe.release()
	}
	if s.socket != nil {
		_ = s.socket.Close()
	}
	if s.terminal != nil {
		_ = s.terminal.close() // perhaps closed by the hang-up
	}
	for _, cleanup := range slices.Backward(s.cleanups) {
		errs = append(errs, cleanup())
	}
	return errors.Join(append(errs, s.nest.tearDown())...)
}
