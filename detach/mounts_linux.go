package detach

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// compareMounts tells whether the caller and a process are in the same mount
// namespace, and whether they have the same root directory.
func compareMounts(pid int) (same, sameRoot bool) {
	own, ownErr := os.Readlink("/proc/self/ns/mnt")
	its, itsErr := os.Readlink(procDir(pid) + "/ns/mnt")
	var a, b unix.Stat_t
	if ownErr == nil && itsErr == nil && unix.Stat("/proc/self/root/", &a) == nil && unix.Stat(procDir(pid)+"/root/", &b) == nil {
		return own == its, a.Dev == b.Dev && a.Ino == b.Ino
	}
	// That may be refused; the mounts are shown to everybody.
	ownMount, ownOK := rootMount("/proc/self")
	itsMount, itsOK := rootMount(procDir(pid))
	if !itsOK {
		return true, true
	}
	return ownMount.id == itsMount.id, ownOK && ownMount.place("/") == itsMount.place("/")
}

// sameFor tells whether a path leads a process to the same file as the caller,
// or both to none, in a folder that is the same.
func sameFor(pid int, name string) bool {
	if same, sameRoot := compareMounts(pid); same && sameRoot {
		return true
	}
	var a, b unix.Stat_t
	err, itsErr := unix.Stat(name, &a), unix.Stat(procDir(pid)+"/root"+name, &b)
	switch {
	case err == nil && itsErr == nil:
		return a.Dev == b.Dev && a.Ino == b.Ino
	case err == unix.ENOENT && (itsErr == unix.ENOENT || itsErr == unix.EACCES) && name != "/":
		return sameFor(pid, path.Dir(name))
	case err != nil || itsErr != unix.EACCES:
		return false
	}
	name, evalErr := filepath.EvalSymlinks(name)
	own, ownErr := os.ReadFile("/proc/self/mountinfo")
	its, err := os.ReadFile(procDir(pid) + "/mountinfo")
	if evalErr != nil || ownErr != nil || err != nil {
		return true // as far as may be known
	}
	ownMount, ownOK := mountOf(own, name)
	itsMount, itsOK := mountOf(its, name)
	return ownOK && itsOK && ownMount.place(name) == itsMount.place(name)
}

// mount is a line of /proc/PID/mountinfo, see proc_pid_mountinfo(5).
type mount struct {
	id     string
	device string
	root   string // what of the file system is mounted
	point  string
}

// place is where a path leads to on the device.
func (m mount) place(name string) string {
	return m.device + path.Join(m.root, strings.TrimPrefix(name, m.point))
}

func rootMount(dir string) (mount, bool) {
	data, err := os.ReadFile(dir + "/mountinfo")
	if err != nil {
		return mount{}, false
	}
	return mountOf(data, "/")
}

var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// mountOf finds the mount on which a path is that has no symbolic links.
func mountOf(info []byte, name string) (found mount, ok bool) {
	for line := range strings.Lines(string(info)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		m := mount{fields[0], fields[2], mountEscapes.Replace(fields[3]), mountEscapes.Replace(fields[4])}
		inside := m.point == "/" || name == m.point || strings.HasPrefix(name, m.point+"/")
		if inside && len(m.point) >= len(found.point) {
			found, ok = m, true
		}
	}
	return found, ok
}
