//go:build !linux

package detach

import (
	"context"
	"errors"
	"os"
	"runtime"
)

func unsupported(op string) error {
	return &Error{Op: op, Path: runtime.GOOS, Err: errors.ErrUnsupported}
}

func (c *Cmd) start(context.Context) (*Process, error) { return nil, unsupported("start") }

func open(string) (*Process, error) { return nil, unsupported("open") }

func signalHandle(*os.File, os.Signal) error { return unsupported("signal") }

func waitHandle(context.Context, *os.File) error { return unsupported("wait") }

func (p *Process) kill(context.Context) error { return unsupported("kill") }
