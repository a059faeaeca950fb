package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/detachkit/detach/detach"
)

// runCheck runs a command that is to succeed. It is in a process group of its
// own, all of which is killed when its time is over or the context ends.
func runCheck(ctx context.Context, command string, p *detach.Process) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = append(os.Environ(), fmt.Sprintf("DETACH_PID=%d", p.PID), "DETACH_PIDFILE="+p.Record.PIDFile)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for what has left the group and holds the output
	var said lastBytes
	cmd.Stdout, cmd.Stderr = &said, &said
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has succeeded, and left something behind
	}
	if line := said.line(); err != nil && line != "" {
		return fmt.Errorf("%w: %s", err, quoteOdd(line))
	}
	return err
}

// lastBytes keeps the end of what is written to it.
type lastBytes struct{ data []byte }

func (l *lastBytes) Write(data []byte) (int, error) {
	const most = 4096
	l.data = append(l.data, data...)
	if len(l.data) > most {
		l.data = append(l.data[:0], l.data[len(l.data)-most:]...)
	}
	return len(data), nil
}

func (l *lastBytes) line() string {
	data := bytes.TrimSpace(l.data)
	return string(data[bytes.LastIndexByte(data, '\n')+1:])
}
