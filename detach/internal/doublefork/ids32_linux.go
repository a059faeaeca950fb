//go:build linux && (386 || arm)

package doublefork

import "golang.org/x/sys/unix"

// Where numbers of users once had 16 bits.
const (
	sysSetgroups = unix.SYS_SETGROUPS32
	sysSetresgid = unix.SYS_SETRESGID32
	sysSetresuid = unix.SYS_SETRESUID32
)
