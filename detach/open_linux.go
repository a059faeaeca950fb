package detach

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

func open(pidfile string) (*Process, error) {
	f, err := openPIDDir(pidfile)
	if err != nil {
		return nil, err
	}
	defer f.close()
	pid, record, err := f.read()
	if err != nil {
		return nil, err
	}
	if pid == 0 {
		return nil, &Error{Op: "open", Path: pidfile, Err: unix.ENOENT}
	}
	var identity *Identity
	if record != nil {
		identity = &record.Identity
	}
	// Not what the record says: the folder may have been moved since.
	path, err := filepath.Abs(pidfile)
	if err != nil {
		path = pidfile
	}
	pidfd, stat, err := openAlive(pid, identity)
	if err != nil {
		return nil, &Error{Op: "open", Path: pidfile, Err: err}
	}
	if record == nil {
		boot, _ := proc.BootID()
		record = &Record{Identity: Identity{PID: pid, Start: stat.Start, BootID: boot}, Session: stat.Session, PIDFile: path}
	}
	return &Process{PID: pid, Record: *record, handle: newHandle(pidfd), pidFile: path}, nil
}
