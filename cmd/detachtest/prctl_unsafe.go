//go:build linux

package main

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// prctlGet asks for a property that the kernel stores where value points to.
func prctlGet(option int, value *int32) error {
	return os.NewSyscallError("prctl", unix.Prctl(option, uintptr(unsafe.Pointer(value)), 0, 0, 0))
}
