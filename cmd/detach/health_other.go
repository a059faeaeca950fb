//go:build !linux

package main

import (
	"context"
	"errors"

	"github.com/detachkit/detach/detach"
)

func runCheck(context.Context, string, *detach.Process) error { return errors.ErrUnsupported }
