//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// shellWord, as the first argument, makes this program a shell that runs the
// rest of them as its foreground job.
const shellWord = "__shell"

// The descriptors of a shell.
const (
	// shellReport is the pipe where it writes the PID of its job.
	shellReport = 3
	// shellSocket is the socket of a manager of detachtest's own.
	shellSocket = 4
)

// beShell is the life of a shell, the leader of a session that has a terminal,
// with the manager as its foreground job. Without it the manager would be the
// session leader, at whose end the kernel hangs up the terminal: Ctrl-C would
// do what a hang-up does.
//
// It never waits for its job, so that the PID it reports keeps its meaning.
func beShell(job []string) error {
	unix.CloseOnExec(shellReport)
	cmd := exec.Command(job[0], job[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// The terminal is descriptor 0.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: true}
	if len(job) > 1 && (job[1] == managerWord || job[1] == waitingManagerWord) {
		unix.CloseOnExec(shellSocket)
		cmd.ExtraFiles = []*os.File{os.NewFile(shellSocket, "tester")}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for _, socket := range cmd.ExtraFiles {
		_ = socket.Close() // that of a dead manager must report EOF
	}
	report := os.NewFile(shellReport, "report")
	if _, err := fmt.Fprintln(report, cmd.Process.Pid); err != nil {
		return err
	}
	_ = report.Close()
	for {
		_, _ = unix.Poll(nil, -1)
	}
}
