package doublefork

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// record is what a clone writes to the report pipe: the same size always, and
// below PIPE_BUF, so it is there whole or not at all (pipe(7)).
type record struct {
	kind recordKind
	a, b int32
}

type recordKind int32

const (
	failure recordKind = 1 + iota // a: Step, b: errno
	started                       // a: PID, b: pidfd
)

// reportFailure is how a clone says which step failed.
//
//go:noinline
//go:nosplit
//go:norace
func reportFailure(m *image, step Step, errno syscall.Errno) {
	m.record.kind = failure
	m.record.a = int32(step)
	m.record.b = int32(errno)
	writeRecord(m)
}

//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func writeRecord(m *image) {
	sys(unix.SYS_WRITE, uintptr(m.report), uintptr(unsafe.Pointer(&m.record)), unsafe.Sizeof(m.record), 0, 0)
}

// exit ends a clone, and never the caller.
//
//go:noinline
//go:nosplit
//go:norace
func exit(status uintptr) {
	for {
		sys(unix.SYS_EXIT_GROUP, status, 0, 0, 0, 0)
	}
}

// readRecord is the caller's side; it tells whether there was one more record.
func readRecord(pipe int, r *record) bool {
	buf := unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r))
	for {
		n, err := unix.Read(pipe, buf)
		if err != unix.EINTR {
			return n == len(buf)
		}
	}
}

// newReportPipe makes the pipe, close-on-exec and above 2. Reading it never
// waits.
func newReportPipe() (r, w int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, err
	}
	for i := range fds {
		if fds[i], err = Above2(fds[i]); err != nil {
			break
		}
	}
	if err == nil {
		err = unix.SetNonblock(fds[0], true)
	}
	if err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return -1, -1, err
	}
	return fds[0], fds[1], nil
}
