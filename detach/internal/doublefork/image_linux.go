package doublefork

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/nofile"
)

// Spec is what the daemon is to be. All that can be done before the fork has
// been done: files are open, the command is found.
type Spec struct {
	Path      string   // for execve(2), relative to Dir if it is relative
	Args, Env []string // argv, with argv[0], and envp
	Dir       string   // "" is the caller's
	Umask     int      // negative: 022 OR the caller's
	Stdio     [3]int   // descriptors that become 0, 1 and 2; each above 2
	Notify    *Notify  // a fourth descriptor that the daemon is to have, or nil
	NOFILE    *nofile.Limit
	PIDFile   *PIDFile

	Cgroups     []int   // descriptors of the cgroup.procs of those to enter, above 2, one a hierarchy; at most MaxCgroups
	OOMScoreAdj *int    // nil: the caller's
	Limits      []Limit // beside NOFILE
	Nice        *int    // nil: the caller's

	// User, if not nil, is changed to. The daemon-to-be then has a copy of the
	// caller's memory, and does not share it: the kernel makes the memory of who
	// changes its user undumpable (commit_creds in kernel/cred.c), for all who
	// share it and for ever, and another user's processes could stop or trace
	// one that works in the memory of the caller.
	User *User
}

// MaxCgroups is in how many hierarchies a cgroup can be entered.
const MaxCgroups = 2

// Notify is a descriptor that becomes number As, which is above 2.
type Notify struct{ FD, As int }

// PIDFile is a PID file for the daemon to put in place itself, just before it
// execs: so at every instant the daemon runs and is named by it, or neither.
type PIDFile struct {
	Dir        int    // descriptor of its directory
	Temp, Name string // Temp is written, then renamed to Name, both within Dir
	FD         int    // Temp, open for writing
}

// image is all that the clones read and write, prepared before the fork. It is
// on the heap: the daemon-to-be may use it while the manager goes on.
type image struct {
	path                  *byte
	argv, envp            **byte
	dir                   *byte
	umask                 int
	stdin, stdout, stderr int
	notify, notifyAs      int // notifyAs 0: none
	nofile                *nofile.Limit

	cgroups    [MaxCgroups]int // 0: none
	oomLength  uintptr
	oomDigits  [8]byte
	limits     *limit
	limitCount uintptr
	renice     bool
	nice       int
	changeUser bool
	uid, gid   uintptr
	groups     *uint32
	groupCount uintptr
	caps       capabilities
	share      uintptr // CLONE_VM, or 0: of the second clone

	pidDir, pidFD    int
	pidTemp, pidName *byte // nil: no PID file

	report int   // the write end of the report pipe
	pidfd  int32 // of the daemon, put here by the kernel; -1 before

	// What the clones write: the step they are at, and buffers.
	step    Step
	record  record
	zeros   [32]uint64 // SIG_DFL, for sigaction; an empty set, for sigprocmask
	digits  [16]byte   // the PID file
	queued  int32      // bytes in the report pipe
	dirents [2048]byte // of /proc/self/fd
	stack   [8192]byte // of the daemon-to-be, see forkIntermediate
}

// newImage is not inlined, so that the image is on the heap.
//
//go:noinline
func newImage(s *Spec) (*image, error) {
	m := &image{
		umask: s.Umask,
		stdin: s.Stdio[0], stdout: s.Stdio[1], stderr: s.Stdio[2],
		nofile: s.NOFILE,
		share:  shareMemory,
		pidfd:  -1,
	}
	copy(m.cgroups[:], s.Cgroups)
	if s.OOMScoreAdj != nil {
		m.prepareOOMScore(*s.OOMScoreAdj)
	}
	limits := make([]limit, len(s.Limits))
	for i, l := range s.Limits {
		limits[i] = limit{uintptr(l.Resource), unix.Rlimit{Cur: l.Soft, Max: l.Hard}}
	}
	m.limits, m.limitCount = unsafe.SliceData(limits), uintptr(len(limits))
	if s.Nice != nil {
		m.renice, m.nice = true, *s.Nice
	}
	if u := s.User; u != nil {
		m.changeUser, m.share = true, 0
		m.uid, m.gid = uintptr(u.UID), uintptr(u.GID)
		m.groups, m.groupCount = unsafe.SliceData(u.Groups), uintptr(len(u.Groups))
		m.caps.header.Version = unix.LINUX_CAPABILITY_VERSION_3
	}
	argv, err := syscall.SlicePtrFromStrings(s.Args)
	if err != nil {
		return nil, err
	}
	envp, err := syscall.SlicePtrFromStrings(s.Env)
	if err != nil {
		return nil, err
	}
	m.argv, m.envp = unsafe.SliceData(argv), unsafe.SliceData(envp)
	if m.path, err = syscall.BytePtrFromString(s.Path); err != nil {
		return nil, err
	}
	if s.Dir != "" {
		if m.dir, err = syscall.BytePtrFromString(s.Dir); err != nil {
			return nil, err
		}
	}
	if n := s.Notify; n != nil {
		m.notify, m.notifyAs = n.FD, n.As
	}
	if f := s.PIDFile; f != nil {
		m.pidDir, m.pidFD = f.Dir, f.FD
		if m.pidTemp, err = syscall.BytePtrFromString(f.Temp); err != nil {
			return nil, err
		}
		if m.pidName, err = syscall.BytePtrFromString(f.Name); err != nil {
			return nil, err
		}
	}
	return m, nil
}
