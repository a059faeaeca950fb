//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/detachkit/detach/detach"
)

// The files of the two servers, in the folder of the tour.
const (
	childLog      = "child.log"
	childPIDFile  = "child.pid"
	serverLog     = "server.log"
	serverPIDFile = "server.pid"
)

// detachFlags is how the manager uses detach.
var detachFlags = []string{"--json", "-o", serverLog, "-p", serverPIDFile, "--"}

// pipeDelay is how long the manager waits for the end of the output of detach
// after detach has ended. With a launcher that lets the server keep the pipe
// it would else wait for as long as the server runs.
const pipeDelay = 5 * time.Second

// launched is what the tour reads of the output of detach --json. The manager
// reports it.
type launched struct {
	PID int `json:"pid"`
	detach.Report
}

// manage is the manager: it starts two servers, reports them and waits for its
// child, as managers do. There is nothing in it that would help either of them
// to outlive it.
func manage(launcher string, report io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child, err := startChild(self)
	if err != nil {
		return err
	}
	server, err := startDetached(launcher, self)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(report).Encode(server); err != nil {
		return err
	}
	return child.Wait()
}

// startChild starts a server the usual way.
func startChild(self string) (*exec.Cmd, error) {
	log, err := os.Create(childLog)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	child := exec.Command(self, serverRole)
	child.Stdout, child.Stderr = log, log
	if err := child.Start(); err != nil {
		return nil, err
	}
	return child, os.WriteFile(childPIDFile, fmt.Appendln(nil, child.Process.Pid), 0o644)
}

// startDetached starts a server with detach.
func startDetached(launcher, self string) (launched, error) {
	cmd := exec.Command(launcher, slices.Concat(detachFlags, []string{self, serverRole})...)
	cmd.WaitDelay = pipeDelay
	out, err := cmd.Output()
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		return launched{}, fmt.Errorf("%s: %w\n%s", launcher, err, bytes.TrimSpace(exited.Stderr))
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return launched{}, fmt.Errorf("%s has left its standard output to the server", launcher)
	}
	if err != nil {
		return launched{}, err
	}
	var l launched
	if err := json.Unmarshal(out, &l); err != nil {
		return launched{}, fmt.Errorf("output of %s: %w", launcher, err)
	}
	return l, nil
}

// manager is the manager as the tour sees it: the leader of a session, and so
// of a process group, of its own.
type manager struct {
	cmd    *exec.Cmd
	stdout io.Reader
	stderr bytes.Buffer
}

func startManager(ctx context.Context, folder, launcher string) (*manager, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &manager{cmd: exec.CommandContext(ctx, self, managerRole, launcher)}
	m.cmd.Dir = folder
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	m.cmd.Stderr = &m.stderr
	if m.stdout, err = m.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *manager) pid() int { return m.cmd.Process.Pid }

// report waits until the manager has started its servers, or has failed to.
func (m *manager) report() (launched, error) {
	var l launched
	err := json.NewDecoder(m.stdout).Decode(&l)
	if err == nil {
		return l, nil
	}
	end := m.kill()
	if m.stderr.Len() > 0 {
		return l, errors.New(strings.TrimSpace(m.stderr.String()))
	}
	return l, fmt.Errorf("the manager has not reported: %v, %w", end, err)
}

// kill kills the process group of the manager, unless that is done already, and
// returns how the manager has ended.
func (m *manager) kill() *os.ProcessState {
	if m.cmd.ProcessState == nil {
		// Until Wait returns, nobody else can have got this PID.
		_ = syscall.Kill(-m.pid(), syscall.SIGKILL)
		_ = m.cmd.Wait() // it tells no more than the state
	}
	return m.cmd.ProcessState
}

// wasKilled tells whether SIGKILL is what ended a process.
func wasKilled(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
