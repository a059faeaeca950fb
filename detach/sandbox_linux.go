package detach

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/internal/service"
)

// sandbox is what confines the caller and not its service manager: a double
// fork is confined likewise, and what systemd starts is not.
type sandbox struct {
	manager int      // PID of the process that the caller was compared with
	left    []string // what systemd would leave, in words

	// mounts tells that the caller is in a mount namespace of its own, as by
	// PrivateTmp= or ProtectSystem=. The files may be the same all the same.
	mounts bool

	properties []service.Property // what a service can have of it
}

// findSandbox compares the caller with the service manager of a user, which has
// made the socket that it is connected to. What cannot be looked at counts as
// the same.
func findSandbox(m service.Manager, user int) *sandbox {
	s := &sandbox{manager: 1}
	if peer := m.Peer(); user != 0 && peer > 1 && isInitOf(peer, user) {
		s.manager = peer
	}
	for _, n := range namespaces {
		if n.differs(s.manager) {
			s.left = append(s.left, "its "+n.name+" namespace")
		}
	}
	switch same, sameRoot := compareMounts(s.manager); {
	case !sameRoot:
		s.left = append(s.left, "its root directory")
	case !same:
		s.mounts = true
	}
	s.comparePrivileges(user)
	s.compareAffinity()
	return s
}

// isInitOf tells whether a process is the service manager of a user.
func isInitOf(pid, user int) bool {
	cgroup, err := proc.Read(procDir(pid)+"/cgroup", maxCgroup)
	return err == nil && strings.Contains(string(cgroup), fmt.Sprintf("/user@%d.service/init.scope\n", user))
}

func (s *sandbox) comparePrivileges(user int) {
	own, err := proc.ReadStatus("/proc/self")
	if err != nil {
		return
	}
	its, err := proc.ReadStatus(procDir(s.manager))
	if err != nil {
		its.Bounding = own.Bounding
	}
	if own.Filters > its.Filters {
		s.left = append(s.left, "its seccomp filter")
	}
	if own.NoNewPrivs {
		s.set("NoNewPrivileges", true)
	}
	switch missing := its.Bounding &^ own.Bounding; {
	case missing == 0 && err == nil:
	case user == 0:
		s.set("CapabilityBoundingSet", own.Bounding)
	case missing != 0 && !own.NoNewPrivs: // what a set-user-ID program could get
		s.left = append(s.left, "its capability bounding set")
	}
}

func (s *sandbox) compareAffinity() {
	var own, its unix.CPUSet
	if unix.SchedGetaffinity(0, &own) != nil || unix.SchedGetaffinity(s.manager, &its) != nil || own == its {
		return
	}
	var bits []byte
	for cpu := range len(own) * strconv.IntSize {
		if own.IsSet(cpu) {
			for len(bits) <= cpu/8 {
				bits = append(bits, 0)
			}
			bits[cpu/8] |= 1 << (cpu % 8)
		}
	}
	s.set("CPUAffinity", bits)
}

func (s *sandbox) set(name string, value any) {
	s.properties = append(s.properties, service.Property{Name: name, Value: value})
}

// unfit is why a service would not do, or nil.
func (s *sandbox) unfit() error {
	if len(s.left) == 0 {
		return nil
	}
	return unfitError("systemd would start it outside what confines the caller: " + enumerate(s.left))
}

// hazards are those of a service all the same.
func (s *sandbox) hazards() []Hazard {
	left := s.left
	if s.mounts {
		left = append(left[:len(left):len(left)], "its mount namespace, as PrivateTmp= or ProtectSystem= make it")
	}
	if len(left) == 0 {
		return nil
	}
	return []Hazard{{
		Code:   HazardSandboxLeft,
		Text:   "systemd starts it outside what confines the caller: " + enumerate(left),
		Remedy: "if it is to be confined too: detach --via fork, and KillMode=process in the unit of the caller",
	}}
}

// namespace is a kind of namespaces, see namespaces(7).
type namespace struct {
	link    string // in /proc/PID/ns
	name    string
	initial uint64 // the number of the first one, if that is fixed: include/linux/proc_ns.h
}

var namespaces = []namespace{
	{"net", "network", 0},
	{"ipc", "IPC", 0xEFFFFFFF},
	{"uts", "UTS", 0xEFFFFFFE},
	{"user", "user", 0xEFFFFFFD},
}

// differs tells whether the caller is in another namespace than a process. To
// look at that is refused to who has fewer capabilities (PTRACE_MODE_READ in
// ptrace(2)), as a sandbox often has: there are other signs then.
func (n namespace) differs(pid int) bool {
	own, err := os.Readlink("/proc/self/ns/" + n.link)
	if err != nil {
		return false // the kernel has none
	}
	its, err := os.Readlink(procDir(pid) + "/ns/" + n.link)
	if err == nil {
		return own != its
	}
	switch n.link {
	case "net": // where each namespace has files of its own
		var a, b unix.Stat_t
		return unix.Stat("/proc/self/net/dev", &a) == nil && unix.Stat(procDir(pid)+"/net/dev", &b) == nil && a.Ino != b.Ino
	case "user":
		a, err := os.ReadFile("/proc/self/uid_map")
		b, itsErr := os.ReadFile(procDir(pid) + "/uid_map")
		if err == nil && itsErr == nil && !bytes.Equal(a, b) {
			return true
		}
	}
	return inFirstPIDNamespace() && own != fmt.Sprintf("%s:[%d]", n.link, n.initial)
}

// inFirstPIDNamespace tells whether PID 1, here, is the init of the machine.
func inFirstPIDNamespace() bool {
	own, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && own == fmt.Sprintf("pid:[%d]", uint32(0xEFFFFFFC))
}
