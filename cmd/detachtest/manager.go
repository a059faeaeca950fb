//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// managerWord, as the first argument, makes this program a manager that runs
// the rest of them as its launcher.
const managerWord = "__manager"

// managerSocket is the descriptor on which the manager talks with the tester:
// remarks, a JSON object each, one way and orders, a line each, the other way.
const managerSocket = 3

// A remark is what the manager tells the tester. Exactly one of its fields
// before Stderr is set, or none where the remark answers orderStderr.
type remark struct {
	Launched int    `json:"launched,omitempty"` // the launcher's PID
	Failed   string `json:"failed,omitempty"`   // why the launcher could not be run
	Exited   *int   `json:"exited,omitempty"`   // the launcher's exit status
	Killed   bool   `json:"killed,omitempty"`   // the launcher was killed by a signal
	Closed   bool   `json:"closed,omitempty"`   // the pipes are closed
	// Stderr is what the launcher has written to it lately.
	Stderr string `json:"stderr,omitempty"`
}

// The orders that the tester gives the manager.
const (
	orderClose  = "close"  // close the pipes
	orderStderr = "stderr" // say what the launcher wrote
)

// beManager is the life of a manager: like most real ones it runs the launcher
// with pipes on its standard output and standard error, reads them, and stays.
// It does not outlive the tester.
func beManager(launcher []string) error {
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
	cmd := exec.Command(launcher[0], launcher[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdoutEnd, stderrEnd
	if err := cmd.Start(); err != nil {
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
		r.Stderr = stderr.recent()
		say(r)
	}()
	for orders := bufio.NewScanner(socket); orders.Scan(); {
		switch orders.Text() {
		case orderClose:
			stdout.close()
			stderr.close()
			say(remark{Closed: true})
		case orderStderr:
			say(remark{Stderr: stderr.recent()})
		}
	}
	return nil
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
	mu   sync.Mutex // of kept, and of reading
	kept []byte     // the last bytes read
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
	for buf := make([]byte, keptOutput); ; {
		n, err := unix.Read(int(fd), buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return err != unix.EAGAIN
		}
		o.kept = append(o.kept, buf[:n]...)
		o.kept = slices.Clone(o.kept[max(0, len(o.kept)-keptOutput):])
	}
}

// recent returns the last of what has been written, drained or not.
func (o *output) recent() string {
	_ = o.raw.Control(func(fd uintptr) { o.take(fd) })
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.kept)
}

func (o *output) close() { _ = o.pipe.Close() }
