package detach

import (
	"context"

	"golang.org/x/sys/unix"
)

// wake is a descriptor that becomes readable when a context is done.
type wake struct {
	fd   int
	stop func() bool
	done chan struct{}
}

func newWake(ctx context.Context) (*wake, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	w := &wake{fd: fd, done: make(chan struct{})}
	w.stop = context.AfterFunc(ctx, func() {
		defer close(w.done)
		_, _ = unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	return w, nil
}

func (w *wake) close() {
	if !w.stop() {
		<-w.done // else it would write to another file
	}
	unix.Close(w.fd)
}
