//go:build !linux

package detach

import (
	"context"
	"errors"
	"os"
	"runtime"
	"syscall"
)

func unsupported(op string) error {
	return &Error{Op: op, Path: runtime.GOOS, Err: errors.ErrUnsupported}
}

func (c *Cmd) start(context.Context) (*Process, error) { return nil, unsupported("start") }

func (c *Cmd) outlook(context.Context) (Outlook, error) { return Outlook{}, unsupported("look at") }

func (c *Cmd) unitFile(UnitEnv) (string, error) { return "", unsupported("write") }

func open(string) (*Process, error) { return nil, unsupported("open") }

func openEnded(string) (*Process, error) { return nil, unsupported("open") }

func signalHandle(*os.File, os.Signal) error { return unsupported("signal") }

func (p *Process) wait(context.Context) (Exit, error) { return Exit{}, unsupported("wait") }

func find(int) (*Process, error) { return nil, unsupported("find") }

func findIdentity(Identity) (*Process, error) { return nil, unsupported("find") }

func readRecord(string) (Record, error) { return Record{}, unsupported("open") }

func (p *Process) verify() (Report, error) { return Report{}, unsupported("verify") }

func (p *Process) send(context.Context, string) error { return unsupported("send") }

func (p *Process) check(context.Context, Condition) error { return unsupported("check") }

func (p *Process) stop(context.Context, StopOptions) (Stopped, error) {
	return Stopped{}, unsupported("stop")
}

func stopFile(context.Context, string, StopOptions) (Stopped, error) {
	return Stopped{}, unsupported("stop")
}

func survey([]*Process) ([]Status, error) { return nil, unsupported("status") }

func signalName(s syscall.Signal) string { return s.String() }

func (p *Process) kill(context.Context) error { return unsupported("kill") }
