//go:build !linux

package main

import (
	"io"
	"syscall"
)

func columns(io.Writer) int { return 0 }

func signalNamed(string) syscall.Signal { return 0 }
