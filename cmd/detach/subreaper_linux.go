package main

import "golang.org/x/sys/unix"

// notSubreaper gives up being a subreaper, which execve(2) preserves: a caller
// that was one and became detach would be the parent of the daemon for the few
// moments in which that is checked.
func notSubreaper() {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
}
