//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// managerWord, as the first argument, makes this program a manager. The second
// is the number of its launcher's parent-death signal, 0 for none, and the rest
// are the launcher.
const managerWord = "__manager"

// waitingManagerWord makes it one that runs the launcher only when ordered to.
const waitingManagerWord = "__waiting-manager"

// managerSocket is the descriptor on which the manager talks with the tester:
// remarks, a JSON object each, one way and orders, a line each, the other way.
const managerSocket = 3

// A remark is what the manager tells the tester. Exactly one of its fields
// before Stdout is set, or none where the remark answers orderOutput.
type remark struct {
	Ready    bool   `json:"ready,omitempty"`    // it was ordered to launch, and begins
	Launched int    `json:"launched,omitempty"` // the launcher's PID
	Failed   string `json:"failed,omitempty"`   // why the launcher could not be run
	Exited   *int   `json:"exited,omitempty"`   // the launcher's exit status
	Killed   bool   `json:"killed,omitempty"`   // the launcher was killed by a signal
	Closed   bool   `json:"closed,omitempty"`   // the pipes are closed
	Filled   bool   `json:"filled,omitempty"`   // the pipes are full, and nobody reads
	// ThreadEnded: the thread that has started the launcher is gone.
	ThreadEnded bool `json:"thread_ended,omitempty"`
	// Stdout and Stderr are what the launcher has written to them lately.
	Stdout string `json:"stdout,omitempty"`
	Stderr string `json:"stderr,omitempty"`
	// EOF tells that nobody holds the other ends of the pipes any more.
	EOF bool `json:"eof,omitempty"`
}

// isOutput tells whether the remark answers orderOutput.
func (r remark) isOutput() bool {
	return !r.Ready && r.Launched == 0 && r.Failed == "" && r.Exited == nil &&
		!r.Killed && !r.Closed && !r.Filled && !r.ThreadEnded
}

// The orders that the tester gives the manager.
const (
	orderClose     = "close"  // close the pipes
	orderFill      = "fill"   // stop reading, and fill the pipes
	orderEndThread = "thread" // end the thread that has started the launcher
	orderOutput    = "output" // say what the launcher wrote
	orderLaunch    = "launch" // run the launcher, where the manager waits for that
)

// beManager is the life of a manager: like most real ones it runs the launcher
// with pipes on its standard output and standard error, reads them, and stays.
// It does not outlive the tester.
//
// It runs on the main thread, which makes sure that others can end.
func beManager(args []string) error { return manage(args, false) }

func beWaitingManager(args []string) error { return manage(args, true) }

// manage is beManager. waits: it does not launch before it is told.
func manage(args []string, waits bool) error {
	parentSig, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	launcher := args[1:]
	unix.CloseOnExec(managerSocket)
	if err := unix.SetNonblock(managerSocket, true); err != nil {
		return err
	}
	socket := os.NewFile(managerSocket, "tester")
	tell := json.NewEncoder(socket)

	stdout, stdoutEnd, err := newOutput()
	if err != nil {
		return err
	}
	stderr, stderrEnd, err := newOutput()
	if err != nil {
		return err
	}
	orders := bufio.NewScanner(socket)
	if waits {
		if !orders.Scan() || orders.Text() != orderLaunch {
			return nil // the tester has gone
		}
		if err := tell.Encode(remark{Ready: true}); err != nil {
			return err
		}
	}
	cmd := exec.Command(launcher[0], launcher[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdoutEnd, stderrEnd
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.Signal(parentSig)}
	endThread, err := startOnThread(cmd)
	if err != nil {
		return tell.Encode(remark{Failed: err.Error()})
	}
	_, _ = stdoutEnd.Close(), stderrEnd.Close()

	var mu sync.Mutex // of tell
	say := func(r remark) {
		mu.Lock()
		defer mu.Unlock()
		_ = tell.Encode(r) // a tester that has gone ends the loop below
	}
	say(remark{Launched: cmd.Process.Pid})
	go stdout.drain()
	go stderr.drain()
	go func() {
		r := launcherEnd(cmd)
		r.Stdout, _ = stdout.recent()
		r.Stderr, _ = stderr.recent()
		say(r)
	}()
	for orders.Scan() {
		switch orders.Text() {
		case orderClose:
			stdout.close()
			stderr.close()
			say(remark{Closed: true})
		case orderFill:
			if err := errors.Join(stdout.fill(), stderr.fill()); err != nil {
				return err
			}
			say(remark{Filled: true})
		case orderEndThread:
			if err := endThread(); err != nil {
				return err
			}
			say(remark{ThreadEnded: true})
		case orderOutput:
			var r remark
			var outEnded, errEnded bool
			r.Stdout, outEnded = stdout.recent()
			r.Stderr, errEnded = stderr.recent()
			r.EOF = outEnded && errEnded
			say(r)
		}
	}
	return nil
}

// startOnThread starts a command from a thread of its own, which is then there
// until end has it end. end returns when the kernel has seen to the thread's
// children.
func startOnThread(cmd *exec.Cmd) (end func() error, err error) {
	started, leave := make(chan error), make(chan struct{})
	var thread int
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		thread = unix.Gettid()
		started <- cmd.Start()
		<-leave
	}()
	if err := <-started; err != nil {
		close(leave)
		return nil, err
	}
	return func() error {
		close(leave)
		for deadline := time.Now().Add(orderTimeout); ; time.Sleep(time.Millisecond) {
			err := unix.Tgkill(os.Getpid(), thread, 0)
			if err == unix.ESRCH {
				return nil
			}
			if err != nil {
				return os.NewSyscallError("tgkill", err)
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("thread %d does not end", thread)
			}
		}
	}, nil
}

// launcherEnd waits for the launcher to end. One that was killed is left a
// zombie: it may be the probe, and its status is the tester's to take once
// this manager is dead.
func launcherEnd(cmd *exec.Cmd) remark {
	const exited = 1 // CLD_EXITED
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	if info.Code != exited {
		return remark{Killed: true}
	}
	_ = cmd.Wait() // the status says it all
	status := cmd.ProcessState.ExitCode()
	return remark{Exited: &status}
}

// An output is the manager's end of a pipe that the launcher writes to.
type output struct {
	pipe *os.File
	raw  syscall.RawConn
	mu   sync.Mutex // of kept and full, and of reading
	kept []byte     // the last bytes read
	full bool       // it is not read any more
	eof  bool       // nobody holds the other end any more
}

// keptOutput is how much of an output is kept: enough for a diagnosis.
const keptOutput = 4096

// newOutput returns both ends of a new pipe, the manager's and the launcher's.
func newOutput() (*output, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	raw, err := r.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	return &output{pipe: r, raw: raw}, w, nil
}

// drain reads until nobody holds the other end any more, or close.
func (o *output) drain() { _ = o.raw.Read(o.take) }

// take reads all there is, and tells whether that was the end.
func (o *output) take(fd uintptr) (eof bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for buf := make([]byte, keptOutput); !o.full; {
		n, err := unix.Read(int(fd), buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			o.eof = o.eof || n == 0
			return err != unix.EAGAIN
		}
		o.kept = append(o.kept, buf[:n]...)
		o.kept = slices.Clone(o.kept[max(0, len(o.kept)-keptOutput):])
	}
	return true
}

// fill stops reading and fills the pipe: from now on whoever writes to it
// waits for a reader that does not come.
func (o *output) fill() error {
	o.mu.Lock()
	o.full = true
	o.mu.Unlock()
	var err error
	controlErr := o.raw.Control(func(fd uintptr) { err = fillPipe(int(fd)) })
	return errors.Join(controlErr, err)
}

// fillPipe fills the pipe that fd reads from, to the last byte.
func fillPipe(fd int) error {
	w, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "pipe", Err: err}
	}
	defer func() { _ = unix.Close(w) }()
	for size := os.Getpagesize(); size > 0; {
		_, err := unix.Write(w, make([]byte, size))
		switch err {
		case nil, unix.EINTR:
		case unix.EAGAIN:
			size /= 2 // there may be room for less
		default:
			return &os.PathError{Op: "fill", Path: "pipe", Err: err}
		}
	}
	return nil
}

// recent returns the last of what has been written, drained or not, and whether
// that was all there will ever be.
func (o *output) recent() (text string, eof bool) {
	_ = o.raw.Control(func(fd uintptr) { o.take(fd) })
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.kept), o.eof
}

func (o *output) close() { _ = o.pipe.Close() }
