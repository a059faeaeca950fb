//go:build !linux

package main

import (
	"io"

	"github.com/detachkit/detach/detach"
)

// No daemon is found here, so that nothing comes as far as this.

func showLogs(target, *detach.Process, detach.Record, int, bool, io.Writer, io.Writer) int {
	panic("unreachable")
}

func attach(target, *detach.Process, int, io.Writer, io.Writer) int { panic("unreachable") }
