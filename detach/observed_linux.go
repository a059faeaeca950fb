package detach

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// observed is a record of a process that has none, from what /proc tells. What
// it does not tell, such as to another user, stays empty.
func observed(pid int, stat proc.Stat) Record {
	boot, _ := proc.BootID()
	r := Record{Identity: Identity{PID: pid, Start: stat.Start, BootID: boot}, Session: stat.Session}
	dir := fmt.Sprintf("/proc/%d/", pid)
	r.Path, _ = os.Readlink(dir + "exe")
	r.Dir, _ = os.Readlink(dir + "cwd")
	if cmdline, err := os.ReadFile(dir + "cmdline"); err == nil && len(cmdline) > 0 {
		r.Command = strings.Split(string(bytes.TrimSuffix(cmdline, []byte{0})), "\x00")
	}
	for fd, to := range []*string{&r.Stdin, &r.Stdout, &r.Stderr} {
		link := fmt.Sprintf("%sfd/%d", dir, fd)
		var st unix.Stat_t
		if unix.Stat(link, &st) != nil {
			continue
		}
		path, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(path, "/") {
			continue
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			*to = path
		case unix.S_IFIFO:
			if fd == 0 {
				r.Console = path
			}
		}
	}
	r.Started = startTime(stat.Start)
	return r
}

// ticksPerSecond is USER_HZ, by which the kernel counts for programs. It is
// 100 on every architecture that Go runs on.
const ticksPerSecond = 100

// startTime is when a process was started, from its ticks after boot; zero if
// that is not known.
func startTime(ticks uint64) time.Time {
	var now unix.Timespec
	if ticks == 0 { // it is hidden
		return time.Time{}
	}
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return time.Time{}
	}
	boot := time.Now().Add(-time.Duration(now.Nano()))
	return boot.Add(time.Duration(ticks) * (time.Second / ticksPerSecond)).UTC()
}
