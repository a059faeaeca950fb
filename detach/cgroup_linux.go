package detach

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// maxCgroupPath is more than the path of the cgroup of a unit has, in bytes.
const maxCgroupPath = 1024

// cgroupRoots are where the hierarchies are mounted in which systemd tracks
// processes: its own of version 1 on a machine with both, else version 2.
var cgroupRoots = sync.OnceValue(func() []string {
	return []string{cgroupMount("cgroup2", ""), cgroupMount("cgroup", "name=systemd")}
})

// cgroupMount returns where a hierarchy of cgroups is mounted, or nothing. Those
// of version 1 have an option.
func cgroupMount(kind, option string) string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) >= 4 && fields[2] == kind && (option == "" || slices.Contains(strings.Split(fields[3], ","), option)) {
			return fields[1]
		}
	}
	return ""
}

// cgroupDir returns the folder of a cgroup, and its number, which no other one
// gets while the machine runs.
func cgroupDir(path string) (dir string, id uint64) {
	if path == "" {
		return "", 0
	}
	for _, root := range cgroupRoots() {
		var st unix.Stat_t
		if root != "" && unix.Stat(root+path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return root + path, st.Ino
		}
	}
	return "", 0
}

// noteCgroup notes the cgroup that is the daemon's alone.
func (r *Record) noteCgroup() {
	content, err := proc.Read(procDir(r.PID)+"/cgroup", maxCgroup)
	if err != nil {
		return
	}
	path := unitOf(content)
	if r.Unit == "" || unitName(path) != r.Unit || len(path) > maxCgroupPath {
		return
	}
	r.Cgroup = path
	_, r.CgroupID = cgroupDir(path)
}

// entered completes the record of a start that was killed while the daemon
// entered its cgroup, if a process is in there, or below: nobody else gets in.
func (r *Record) entered(pid int) bool {
	boot, err := proc.BootID()
	if err != nil || !sameBoot(boot, r.BootID) {
		return false
	}
	stat, err := proc.ReadStat(pid)
	if err != nil || !r.cgroupMembers()[pid] {
		return false
	}
	// It was the same one all along.
	if again, err := proc.ReadStat(pid); err != nil || again.Start != stat.Start {
		return false
	}
	r.Identity = Identity{PID: pid, Start: stat.Start, BootID: r.BootID}
	r.Session = stat.Session
	return true
}

// cgroupMembers returns the processes in the cgroup that is the daemon's alone
// and in those below; none if it has none, or that has been removed since.
func (r *Record) cgroupMembers() map[int]bool {
	dir, id := cgroupDir(r.Cgroup)
	if r.CgroupShared || dir == "" || r.CgroupID == 0 || id != r.CgroupID {
		return nil
	}
	members := map[int]bool{}
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil // it has been removed meanwhile
		}
		procs, _ := os.ReadFile(path + "/cgroup.procs")
		for line := range strings.Lines(string(procs)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				members[pid] = true
			}
		}
		return nil
	})
	return members
}
