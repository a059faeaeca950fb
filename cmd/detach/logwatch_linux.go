package main

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is how often logs are looked at when nothing tells that they
// have changed: inotify(7) is silent about what other machines do to a network
// file system, and its watches can be used up.
const pollInterval = 250 * time.Millisecond

// logWatch tells when files may have been written to, truncated or replaced.
type logWatch struct {
	changed chan struct{} // receives when it is worth looking
	paths   []string
	inotify *os.File // nil where there is none
	stop    chan struct{}
}

const (
	fileEvents   = unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_MOVE_SELF
	folderEvents = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ONLYDIR
)

func newLogWatch(paths []string) *logWatch {
	w := &logWatch{changed: make(chan struct{}, 1), paths: paths, stop: make(chan struct{})}
	w.listen()
	go w.poll()
	return w
}

// listen passes events on, where there are some. What they are about does not
// matter.
func (w *logWatch) listen() {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return
	}
	w.inotify = os.NewFile(uintptr(fd), "inotify")
	w.renew()
	go func() {
		events := make([]byte, 4096)
		for {
			if _, err := w.inotify.Read(events); err != nil {
				return
			}
			w.renew()
			w.tell()
		}
	}()
}

// renew watches whatever files have the names now. The old ones stay watched:
// they may be written to still.
func (w *logWatch) renew() {
	conn, err := w.inotify.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		for _, path := range w.paths {
			_, _ = unix.InotifyAddWatch(int(fd), path, fileEvents)
			_, _ = unix.InotifyAddWatch(int(fd), filepath.Dir(path), folderEvents)
		}
	})
}

func (w *logWatch) poll() {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			w.tell()
		}
	}
}

func (w *logWatch) tell() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *logWatch) close() {
	close(w.stop)
	if w.inotify != nil {
		w.inotify.Close()
	}
}
