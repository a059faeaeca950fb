package proc

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Process is a process as one look at /proc has shown it.
type Process struct {
	PID int
	Stat
}

// List returns the processes of this PID namespace that can be seen, zombies
// included. Each entry is consistent in itself; the list is not a snapshot, a
// process may have been forked or ended behind the reader's back.
func List() ([]Process, error) {
	pids, err := PIDs()
	if err != nil {
		return nil, err
	}
	list := make([]Process, 0, len(pids))
	for _, pid := range pids {
		stat, err := ReadStat(pid)
		switch err {
		case nil:
			list = append(list, Process{pid, stat})
		case unix.EMFILE, unix.ENFILE, unix.ENOMEM:
			return nil, err // else it has ended meanwhile, or is hidden
		}
	}
	return list, nil
}

// PIDs returns the numbers that /proc lists.
func PIDs() ([]int, error) {
	dir, err := ignoringEINTR(func() (int, error) {
		return unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	var pids []int
	var names []string
	buf := make([]byte, 32<<10)
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.ReadDirent(dir, buf) })
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return pids, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	}
}
