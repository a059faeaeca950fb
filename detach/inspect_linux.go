package detach

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

// maxInspections is how often verify looks again because the process has been
// given another parent or session meanwhile.
const maxInspections = 5

var errKernelThread = errors.New("is a thread of the kernel")

func (p *Process) verify() (Report, error) {
	failed := func(path string, err error) (Report, error) {
		return Report{}, &Error{Op: "verify", Path: path, Err: err}
	}
	if err := proc.Check(); err != nil {
		return failed("/proc", err)
	}
	name := strconv.Itoa(p.PID)
	if p.handle == nil {
		return failed(name, ErrExited)
	}
	asked := &askedUnits{}
	defer asked.close()
	for n := 1; ; n++ {
		in, err := inspect(p)
		in.asked = asked
		report := Report{}
		if err == nil {
			report = in.report()
		}
		settled := in.settled()
		// What was read was about it if it has not ended by now.
		if err := control(p.handle, in.awaitEnd); err != nil {
			return failed(name, err)
		}
		if err != nil {
			return failed(name, err)
		}
		if settled || n == maxInspections {
			return report, nil
		}
	}
}

// endPatience is how long to wait for the end of a process that is about to
// end. It may be stuck there.
const endPatience = time.Second

// awaitEnd returns ErrExited if the process has ended, reaped or not. One that
// is about to end has already lost what it had, and is waited for.
func (in *inspection) awaitEnd(pidfd int) error {
	deadline := time.Now().Add(endPatience)
	for {
		stat, err := proc.ReadStat(in.pid)
		if hasEnded(pidfd) {
			return ErrExited
		}
		ending := err == nil && stat.Flags&exiting != 0 && stat.Threads < 2
		if !ending || time.Now().After(deadline) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// inspection is one look at a process from outside, and at what it is attached
// to. It trusts nothing: between any two reads processes end, begin and move.
type inspection struct {
	pid    int
	dir    string // of /proc: of the process, or of a thread where the first one has ended
	record Record

	stat      proc.Stat
	statErr   error // nothing else is known where it is not nil
	status    proc.Status
	statusErr error

	byPID       map[int]proc.Process // what can be seen
	descendants map[int]bool         // without itself
	ancestors   map[int]bool
	names       map[int]string // of processes, once asked for

	environ    []string
	environErr error
	unit       string // of systemd, from its cgroup; or empty
	asked      *askedUnits

	machine    bool // whether this PID namespace is that of the machine
	ownSession bool // whether the session is its own
	service    bool // whether it is what a service of systemd consists of

	streams  [3]stream
	files    []stream // open descriptors beyond 2 that are pipes and sockets
	beyond   int      // how many descriptors there are beyond 2
	filesErr error
	openers  openers
}

// maxEnviron is more than an environment can be, in bytes: 6 MiB with the
// arguments, see execve(2).
const maxEnviron = 8 << 20

// Of field 9 in proc_pid_stat(5), from include/linux/sched.h.
const (
	exiting        = 0x4      // PF_EXITING
	forkedByKernel = 0x200000 // PF_KTHREAD
)

func inspect(p *Process) (*inspection, error) {
	in := &inspection{pid: p.PID, dir: procDir(p.PID), record: p.Record, names: map[int]string{}, machine: !inContainer()}
	if in.stat, in.statErr = proc.ReadStat(p.PID); in.statErr != nil {
		return in, nil
	}
	if in.stat.Flags&forkedByKernel != 0 {
		return in, errKernelThread
	}
	if in.stat.State == 'Z' { // its first thread has ended, others have what it had
		in.dir = liveThread(in.dir)
	}
	in.status, in.statusErr = proc.ReadStatus(in.dir)
	list, err := proc.List()
	if err != nil {
		return in, err
	}
	in.arrange(list)
	in.ownSession = in.checkSession().OK
	environ, err := proc.Read(in.dir+"/environ", maxEnviron)
	in.environErr = err
	in.environ = proc.Environ(environ)
	if cgroup, err := proc.Read(in.dir+"/cgroup", maxCgroup); err == nil {
		in.unit = unitOf(cgroup)
	}
	in.service = in.isService()
	in.readStreams()
	in.readFiles()
	in.openers = in.findOpeners()
	return in, nil
}

// settled tells whether the process is still attached as it was at first.
func (in *inspection) settled() bool {
	stat, err := proc.ReadStat(in.pid)
	return (err == nil) == (in.statErr == nil) && stat.Parent == in.stat.Parent &&
		stat.Session == in.stat.Session && stat.Group == in.stat.Group && stat.TTY == in.stat.TTY
}

// arrange notes who is above and below the process.
func (in *inspection) arrange(list []proc.Process) {
	in.byPID = map[int]proc.Process{}
	children := map[int][]int{}
	for _, q := range list {
		in.byPID[q.PID] = q
		children[q.Parent] = append(children[q.Parent], q.PID)
	}
	in.descendants = map[int]bool{}
	for next := children[in.pid]; len(next) > 0; {
		q := next[0]
		next = next[1:]
		if q != in.pid && !in.descendants[q] { // the list is no snapshot, it may have a circle
			in.descendants[q] = true
			next = append(next, children[q]...)
		}
	}
	in.ancestors = map[int]bool{}
	for q := in.stat.Parent; q > 0 && q != in.pid && !in.ancestors[q]; q = in.byPID[q].Parent {
		in.ancestors[q] = true
	}
}

func (in *inspection) report() Report {
	r := Report{Checks: in.checks()}
	if in.statErr == nil {
		r.Hazards = in.hazards()
	}
	r.Diagnosis = in.diagnose(r)
	return r
}

func (in *inspection) checks() []Check {
	if in.statErr != nil {
		checks := []Check{{Name: "alive", OK: true, Got: "alive", Want: wantAlive}}
		for _, c := range [][2]string{
			{"session", wantSession}, {"leader", wantLeader}, {"terminal", wantTerminal}, {"parent", wantParent},
			{"stdin", wantStdin}, {"stdout", wantOutput}, {"stderr", wantOutput},
			{"signals", wantSignals}, {"descriptors", wantDescriptors}, {"environment", wantEnvironment},
		} {
			checks = append(checks, unknown(c[0], c[1], in.statErr))
		}
		return checks
	}
	return []Check{
		{Name: "alive", OK: true, Got: stateWords(in.stat.State), Want: wantAlive},
		in.checkSession(),
		in.checkLeader(),
		in.checkTerminal(),
		in.checkParent(),
		in.checkStream(0),
		in.checkStream(1),
		in.checkStream(2),
		in.checkSignals(),
		in.checkDescriptors(),
		in.checkEnvironment(),
	}
}

const wantAlive = "not ended"

// unknown is a check that cannot be made.
func unknown(name, want string, err error) Check {
	return Check{Name: name, Got: "cannot be told: " + causeWords(err), Want: want, Unknown: true}
}

// causeWords says why /proc does not tell something of a process that is there.
func causeWords(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
		return "hidden in /proc"
	}
	return err.Error()
}

func stateWords(state byte) string {
	switch state {
	case 'R':
		return "running"
	case 'S', 'I':
		return "sleeping"
	case 'D':
		return "waiting for a device"
	case 'T':
		return "stopped by a signal"
	case 't':
		return "stopped by a debugger"
	case 'Z', 'X':
		return "its first thread has ended, others run"
	}
	return "alive"
}

func procDir(pid int) string { return "/proc/" + strconv.Itoa(pid) }

// maxThreads is how many threads are looked at.
const maxThreads = 1 << 16

// liveThread returns the folder of a thread that has not ended, or dir.
func liveThread(dir string) string {
	tids, _, _ := proc.Numbers(dir+"/task", maxThreads)
	for _, tid := range tids {
		thread := fmt.Sprintf("%s/task/%d", dir, tid)
		if data, err := proc.Read(thread+"/stat", 4<<10); err == nil {
			if s, err := proc.ParseStat(data); err == nil && s.State != 'Z' && s.State != 'X' {
				return thread
			}
		}
	}
	return dir
}

// name says who a process is: its name, which is its own choice, and its PID.
func (in *inspection) name(pid int) string {
	if name, ok := in.names[pid]; ok {
		return name
	}
	name := fmt.Sprintf("PID %d", pid)
	if comm := commOf(pid); comm != "" {
		name = fmt.Sprintf("PID %d (%s)", pid, quoteName(comm))
	}
	in.names[pid] = name
	return name
}

// maxNamed is how many of a kind are named.
const maxNamed = 3

func (in *inspection) nameAll(pids []int) string {
	var words []string
	for i, pid := range pids {
		if i == maxNamed {
			words = append(words, fmt.Sprintf("%d more", len(pids)-i))
			break
		}
		words = append(words, in.name(pid))
	}
	return enumerate(words)
}

// enumerate makes "a, b and c".
func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

func commOf(pid int) string {
	comm, err := proc.Read(procDir(pid)+"/comm", 256)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(comm), "\n")
}

// quoteName keeps a name that is meant to mislead from being read as part of
// the sentence around it.
func quoteName(name string) string {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-+._/:@", r))
	}
	if name == "" || strings.ContainsFunc(name, odd) {
		return strconv.Quote(name)
	}
	return name
}

// argsOf returns the arguments of a process.
func argsOf(pid int) []string {
	cmdline, err := proc.Read(procDir(pid)+"/cmdline", 64<<10)
	if err != nil {
		return nil
	}
	return proc.Arguments(cmdline)
}

// initialNamespace is the PID namespace of the machine, PROC_PID_INIT_INO in
// include/linux/proc_ns.h.
const initialNamespace = "pid:[4026531836]"

// inContainer tells whether this PID namespace is that of a container.
func inContainer() bool {
	namespace, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && namespace != initialNamespace
}
