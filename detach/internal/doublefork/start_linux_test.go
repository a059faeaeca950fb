package doublefork

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/nofile"
	"github.com/detachkit/detach/detach/lab"
	"github.com/detachkit/detach/detach/lab/seccomp"
)

// The test process is a subreaper: whatever a start leaves becomes its child,
// and wait4 tells of it. qemu-user has no subreapers.
func TestMain(m *testing.M) {
	if starts, err := strconv.Atoi(os.Getenv(killedVariable)); err == nil {
		if err := killed(starts); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	errSubreaper = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	os.Exit(m.Run())
}

var errSubreaper error

// bench is one start to be: a program that blocks, and a PID file.
type bench struct {
	dir  string
	spec *Spec
}

func newBench(t *testing.T) *bench {
	t.Helper()
	require.NoError(t, errSubreaper)
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	null, err = Above2(null)
	require.NoError(t, err)
	dir := t.TempDir()
	dirfd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	temp, err := unix.Openat(dirfd, "temp", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, fd := range []int{null, dirfd, temp} {
			unix.Close(fd)
		}
	})
	return &bench{dir, &Spec{
		Path:    "/bin/sh",
		Args:    []string{"sh", "-c", "read wait"},
		Env:     []string{"A=b"},
		Umask:   -1,
		Stdio:   [3]int{openBlocking(t), null, null},
		PIDFile: &PIDFile{Dir: dirfd, Temp: "temp", Name: "pid", FD: temp},
	}}
}

// openBlocking opens what a read of blocks on.
func openBlocking(t *testing.T) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func (b *bench) pidFile() string { return filepath.Join(b.dir, "pid") }

// end kills and reaps a daemon of the test.
func end(t *testing.T, p Process) {
	t.Helper()
	require.NoError(t, Kill(p.PIDFD))
	unix.Close(p.PIDFD)
	_, err := unix.Wait4(p.PID, nil, 0, nil)
	require.NoError(t, err)
}

// openNow returns which descriptors this process has.
func openNow(t *testing.T) []int {
	t.Helper()
	return slices.Sorted(maps.Keys(lab.Descriptors(t, os.Getpid())))
}

func requireNoChild(t *testing.T) {
	t.Helper()
	pid, err := unix.Wait4(-1, nil, unix.WALL|unix.WNOHANG, nil)
	require.Equal(t, unix.ECHILD, err, "child %d is left", pid)
}

func TestStart(t *testing.T) {
	b := newBench(t)
	before := openNow(t)
	p, err := Start(b.spec)
	require.NoError(t, err)

	s, ok := lab.ReadStatus(p.PID)
	require.True(t, ok)
	require.Equal(t, p.Intermediate, s.Int(t, "NSsid"))
	require.Equal(t, p.Intermediate, s.Int(t, "NSpgid"))
	require.NotEqual(t, p.PID, p.Intermediate)
	require.Equal(t, os.Getpid(), s.Int(t, "PPid"), "of the subreaper, which is this process")
	require.Equal(t, "0000000000000000", s["SigBlk"])
	require.Equal(t, "0000000000000000", s["SigIgn"])
	content, err := os.ReadFile(b.pidFile())
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintln(p.PID), string(content))

	end(t, p)
	requireNoChild(t)
	require.Equal(t, before, openNow(t))
}

const (
	cloneOfIntermediate = unix.CLONE_FILES
	cloneOfDaemon       = unix.CLONE_PIDFD
	cloneKinds          = unix.CLONE_FILES | unix.CLONE_PIDFD | unix.CLONE_THREAD
)

// Every branch of both clones is walked: each step fails once, says so and
// leaves nothing. A function in them that grows its stack would end this test
// with a fatal error.
func TestEachStepFails(t *testing.T) {
	cases := []struct {
		name  string
		rules []seccomp.Rule
		spoil func(*testing.T, *Spec)
		step  Step
		errno syscall.Errno
		alone bool // in a process of its own
	}{
		{name: "first fork",
			rules: []seccomp.Rule{{Call: unix.SYS_CLONE, Arg: cloneFlagsArg, Mask: cloneKinds, Value: cloneOfIntermediate, Errno: unix.EAGAIN}},
			step:  ForkIntermediate, errno: unix.EAGAIN},
		{name: "setsid",
			rules: []seccomp.Rule{{Call: unix.SYS_SETSID, Errno: unix.EPERM}},
			step:  Setsid, errno: unix.EPERM},
		{name: "second fork",
			rules: []seccomp.Rule{{Call: unix.SYS_CLONE, Arg: cloneFlagsArg, Mask: cloneKinds, Value: cloneOfDaemon, Errno: unix.EAGAIN}},
			step:  ForkDaemon, errno: unix.EAGAIN},
		{name: "signal dispositions",
			rules: []seccomp.Rule{{Call: unix.SYS_RT_SIGACTION, Mask: ^uint32(0), Value: 64, Errno: unix.EPERM}},
			step:  ResetSignals, errno: unix.EPERM},
		{name: "chdir",
			spoil: func(_ *testing.T, s *Spec) { s.Dir = "/nonexistent" },
			step:  Chdir, errno: unix.ENOENT},
		{name: "stdin",
			spoil: func(_ *testing.T, s *Spec) { s.Stdio[0] = 1 << 20 },
			step:  DupStdin, errno: unix.EBADF},
		{name: "stdout",
			spoil: func(_ *testing.T, s *Spec) { s.Stdio[1] = 1 << 20 },
			step:  DupStdout, errno: unix.EBADF},
		{name: "stderr",
			spoil: func(_ *testing.T, s *Spec) { s.Stdio[2] = 1 << 20 },
			step:  DupStderr, errno: unix.EBADF},
		{name: "close_range for a reason of its own",
			rules: []seccomp.Rule{{Call: unix.SYS_CLOSE_RANGE, Errno: unix.EIO}},
			step:  CloseDescriptors, errno: unix.EIO},
		{name: "no close_range and no /proc/self/fd",
			rules: []seccomp.Rule{{Call: unix.SYS_CLOSE_RANGE, Errno: unix.ENOSYS},
				{Call: unix.SYS_OPENAT, Arg: 2, Mask: unix.O_DIRECTORY, Value: unix.O_DIRECTORY, Errno: unix.EACCES}},
			step: CloseDescriptors, errno: unix.EACCES},
		{name: "no close_range and no listing",
			rules: []seccomp.Rule{{Call: unix.SYS_CLOSE_RANGE, Errno: unix.ENOSYS}, {Call: unix.SYS_GETDENTS64, Errno: unix.EIO}},
			step:  CloseDescriptors, errno: unix.EIO},
		{name: "no close_range and no fcntl",
			rules: []seccomp.Rule{{Call: unix.SYS_CLOSE_RANGE, Errno: unix.ENOSYS},
				{Call: unix.SYS_FCNTL, Arg: 1, Mask: ^uint32(0), Value: unix.F_SETFD, Errno: unix.EPERM}},
			step: CloseDescriptors, errno: unix.EPERM},
		{name: "RLIMIT_NOFILE",
			rules: []seccomp.Rule{{Call: unix.SYS_PRLIMIT64, Errno: unix.EPERM}},
			spoil: func(_ *testing.T, s *Spec) { s.NOFILE = &nofile.Limit{Soft: 100, Hard: 100} },
			step:  SetNOFILE, errno: unix.EPERM},
		{name: "notification descriptor",
			spoil: func(_ *testing.T, s *Spec) { s.Notify = &Notify{FD: 1 << 20, As: 3} },
			step:  DupNotify, errno: unix.EBADF},
		{name: "PID file on a full disk",
			spoil: func(t *testing.T, s *Spec) { s.PIDFile.FD = openFull(t) },
			step:  WritePIDFile, errno: unix.ENOSPC},
		{name: "PID file above RLIMIT_FSIZE",
			spoil: func(t *testing.T, _ *Spec) { limitFileSize(t, 0) },
			step:  WritePIDFile, errno: unix.EFBIG, alone: true},
		{name: "PID file cut short",
			spoil: func(t *testing.T, _ *Spec) { limitFileSize(t, 1) },
			step:  WritePIDFile, errno: unix.ENOSPC, alone: true},
		{name: "rename of the PID file",
			rules: []seccomp.Rule{{Call: unix.SYS_RENAMEAT2, Errno: unix.EROFS}},
			step:  PlacePIDFile, errno: unix.EROFS},
		{name: "cgroup",
			spoil: func(_ *testing.T, s *Spec) { s.Cgroups = []int{openFull(t)} },
			step:  EnterCgroup, errno: unix.ENOSPC},
		{name: "second cgroup",
			spoil: func(_ *testing.T, s *Spec) { s.Cgroups = []int{s.Stdio[1], 1 << 20} },
			step:  EnterCgroup, errno: unix.EBADF},
		{name: "no oom_score_adj",
			rules: []seccomp.Rule{{Call: unix.SYS_OPENAT, Arg: 2, Mask: unix.O_ACCMODE, Value: unix.O_WRONLY, Errno: unix.EACCES}},
			spoil: func(_ *testing.T, s *Spec) { s.OOMScoreAdj = new(500) },
			step:  SetOOMScore, errno: unix.EACCES},
		{name: "oom_score_adj out of range",
			spoil: func(_ *testing.T, s *Spec) { s.OOMScoreAdj = new(1001) },
			step:  SetOOMScore, errno: unix.EINVAL},
		{name: "resource limit",
			spoil: func(_ *testing.T, s *Spec) { s.Limits = []Limit{{unix.RLIMIT_CORE, 0, 0}, {unix.RLIMIT_CPU, 2, 1}} },
			step:  SetLimit, errno: unix.EINVAL},
		{name: "nice value",
			rules: []seccomp.Rule{{Call: unix.SYS_SETPRIORITY, Errno: unix.EACCES}},
			spoil: func(_ *testing.T, s *Spec) { s.Nice = new(5) },
			step:  SetNice, errno: unix.EACCES},
		{name: "supplementary groups",
			rules: []seccomp.Rule{{Call: sysSetgroups, Errno: unix.EPERM}},
			spoil: setOtherUser, step: SetGroups, errno: unix.EPERM},
		{name: "group",
			rules: []seccomp.Rule{{Call: sysSetgroups}, {Call: sysSetresgid, Errno: unix.EPERM}},
			spoil: setOtherUser, step: SetGID, errno: unix.EPERM},
		{name: "user",
			rules: []seccomp.Rule{{Call: sysSetgroups}, {Call: sysSetresgid}, {Call: sysSetresuid, Errno: unix.EAGAIN}},
			spoil: setOtherUser, step: SetUID, errno: unix.EAGAIN},
		{name: "capabilities",
			rules: []seccomp.Rule{{Call: sysSetgroups}, {Call: sysSetresgid}, {Call: sysSetresuid}, {Call: unix.SYS_CAPSET, Errno: unix.EPERM}},
			spoil: setOtherUser, step: DropCapabilities, errno: unix.EPERM},
		{name: "exec as another user",
			rules: []seccomp.Rule{{Call: sysSetgroups}, {Call: sysSetresgid}, {Call: sysSetresuid}, {Call: unix.SYS_CAPSET}},
			spoil: func(t *testing.T, s *Spec) { setOtherUser(t, s); s.Path = "/" },
			step:  Exec, errno: unix.EACCES},
		{name: "exec",
			spoil: func(_ *testing.T, s *Spec) { s.Path = "/nonexistent" },
			step:  Exec, errno: unix.ENOENT},
		{name: "exec without a PID file",
			spoil: func(_ *testing.T, s *Spec) { s.Path, s.PIDFile = "/", nil },
			step:  Exec, errno: unix.EACCES},
	}
	reached := map[Step]bool{}
	for _, c := range cases {
		reached[c.step] = true
		t.Run(c.name, func(t *testing.T) {
			if c.alone && runAlone(t) {
				return
			}
			b := newBench(t)
			if c.spoil != nil {
				c.spoil(t, b.spec)
			}
			before := openNow(t)
			err := startUnder(t, b.spec, c.rules)
			require.Equal(t, &Error{c.step, c.errno}, err)
			requireNoChild(t)
			require.NoFileExists(t, b.pidFile())
			require.Equal(t, before, openNow(t))
		})
	}
	for step := range stepNames {
		require.NotEmpty(t, stepNames[step])
		require.True(t, reached[Step(step)], "no case fails at %q", Step(step))
	}
}

func setOtherUser(_ *testing.T, s *Spec) {
	s.User = &User{UID: 61234, GID: 61235, Groups: []uint32{61236}}
}

// startUnder starts with some system calls failing, in a thread that ends with
// the goroutine.
func startUnder(t *testing.T, s *Spec, rules []seccomp.Rule) error {
	t.Helper()
	result := make(chan error)
	go func() {
		if len(rules) > 0 {
			runtime.LockOSThread()
			if err := seccomp.Install(rules...); err != nil {
				result <- err
				return
			}
		}
		p, err := Start(s)
		if err == nil {
			end(t, p)
		}
		result <- err
	}()
	return <-result
}

func openFull(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/dev/full", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

const aloneVariable = "DETACH_TEST_ALONE"

// runAlone runs a test in a process of its own, and tells false if this is one.
func runAlone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneVariable) != "" {
		return false
	}
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^") + "$"
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run="+pattern)
	cmd.Env = append(os.Environ(), aloneVariable+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name()+" ")
	return true
}

// limitFileSize sets RLIMIT_FSIZE, which go test must not meet when it writes
// its own log. A SIGXFSZ must not end the daemon-to-be
// before it has reported.
func limitFileSize(t *testing.T, bytes uint64) {
	t.Helper()
	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &was))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: was.Max}))
	t.Cleanup(func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &was)) })
}

// The daemon gets the descriptor under whatever number, in the way of the
// double fork's own ones or not.
func TestNotifyDescriptor(t *testing.T) {
	b := newBench(t)
	b.spec.Args[2] = `[ "$N" -ge 10 ] || echo ready >&"$N"; read wait`
	var pipe [2]int
	require.NoError(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer closeAll(pipe[:])
	before := openNow(t)
	free := slices.Max(before) + 1 // and the next ones are for the report pipe
	for as := 3; as < free+6; as++ {
		b.spec.Env = []string{fmt.Sprintf("N=%d", as)}
		b.spec.Notify = &Notify{FD: pipe[1], As: as}
		p, err := Start(b.spec)
		require.NoError(t, err, as)
		if as < 10 { // a shell takes no larger ones
			buf := make([]byte, 10)
			n, err := unix.Read(pipe[0], buf)
			require.NoError(t, err)
			require.Equal(t, "ready\n", string(buf[:n]), as)
		}
		lab.AwaitExec(t, p.PID)
		var own, theirs unix.Stat_t
		require.NoError(t, unix.Fstat(pipe[1], &own))
		require.NoError(t, unix.Stat(fmt.Sprintf("/proc/%d/fd/%d", p.PID, as), &theirs), as)
		require.Equal(t, own.Ino, theirs.Ino, as)
		lab.Until(t, "descriptors 0, 1, 2 and one more", func() bool {
			return slices.Equal([]int{0, 1, 2, as}, slices.Sorted(maps.Keys(lab.Descriptors(t, p.PID))))
		})
		end(t, p)
		require.Equal(t, before, openNow(t), as)
		require.NoError(t, unix.Linkat(unix.AT_FDCWD, b.pidFile(), unix.AT_FDCWD, b.dir+"/temp", 0))
		require.NoError(t, os.Remove(b.pidFile()))
	}
}

// Old kernels and seccomp filters: without close_range nothing else changes.
func TestDescriptorsAreClosedWithoutCloseRange(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM, unix.EINVAL} {
		t.Run(errno.Error(), func(t *testing.T) {
			b := newBench(t)
			// More than one buffer of directory entries, all inheritable.
			for range 300 {
				fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
				require.NoError(t, err)
				t.Cleanup(func() { unix.Close(fd) })
			}
			checked := make(chan struct{})
			go func() {
				runtime.LockOSThread()
				defer close(checked)
				if err := seccomp.Install(seccomp.Rule{Call: unix.SYS_CLOSE_RANGE, Errno: errno}); err != nil {
					t.Error(err)
					return
				}
				p, err := Start(b.spec)
				if err != nil {
					t.Error(err)
					return
				}
				defer end(t, p)
				// Its dynamic linker opens and closes files at first.
				lab.Until(t, "descriptors 0, 1, 2 and no other", func() bool {
					return slices.Equal([]int{0, 1, 2}, slices.Sorted(maps.Keys(lab.Descriptors(t, p.PID))))
				})
			}()
			<-checked
		})
	}
}

// Somebody kills the intermediate: before there is a daemon, and after, when
// only the kernel has told the caller of it.
func TestIntermediateKilled(t *testing.T) {
	for name, rule := range map[string]seccomp.Rule{
		"before the daemon": {Call: unix.SYS_SETSID, Kill: true},
		"after the daemon":  {Call: unix.SYS_IOCTL, Arg: 1, Mask: ^uint32(0), Value: unix.TIOCINQ, Kill: true},
	} {
		t.Run(name, func(t *testing.T) {
			if shareMemory == 0 && rule.Call == unix.SYS_IOCTL {
				t.Skip("without shared memory the caller cannot know of the daemon")
			}
			b := newBench(t)
			before := openNow(t)
			err := startUnder(t, b.spec, []seccomp.Rule{rule})
			require.ErrorIs(t, err, ErrInterrupted)
			// A daemon that had been started is dead, and this process, its
			// reaper, finds it so.
			for {
				var status unix.WaitStatus
				_, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOHANG, nil)
				if err == unix.ECHILD {
					break
				}
				require.NoError(t, err)
				require.Equal(t, unix.SIGKILL, status.Signal())
			}
			require.Equal(t, before, openNow(t))
		})
	}
}

func TestStringsWithZeroBytes(t *testing.T) {
	for name, spoil := range map[string]func(*Spec){
		"path":     func(s *Spec) { s.Path = "a\x00" },
		"argument": func(s *Spec) { s.Args = []string{"a\x00"} },
		"variable": func(s *Spec) { s.Env = []string{"a\x00"} },
		"dir":      func(s *Spec) { s.Dir = "a\x00" },
		"temp":     func(s *Spec) { s.PIDFile.Temp = "a\x00" },
		"name":     func(s *Spec) { s.PIDFile.Name = "a\x00" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			spoil(b.spec)
			_, err := Start(b.spec)
			require.ErrorIs(t, err, unix.EINVAL)
			requireNoChild(t)
		})
	}
}

// killed is the program under test of TestIntermediatesKilled: it starts one
// daemon after the other, whatever becomes of them.
func killed(starts int) error {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for range starts {
		p, err := Start(&Spec{Path: "/bin/true", Args: []string{"true"}, Umask: -1, Stdio: [3]int{null, null, null}})
		var step *Error
		switch {
		case err == nil:
			_ = Kill(p.PIDFD)
			unix.Close(p.PIDFD)
		case !errors.Is(err, ErrInterrupted) && !errors.As(err, &step):
			return err
		}
	}
	return nil
}

const killedVariable = "DOUBLEFORK_KILLED"

// Somebody kills every child of the manager as soon as it appears, as
// "pkill -9 -P" does. Starts fail then, but the manager goes on: it and a
// daemon-to-be that has lost its parent run at the same time, in the same
// memory.
func TestIntermediatesKilled(t *testing.T) {
	const starts = 3000
	manager := exec.Command(os.Args[0])
	manager.Env = append(os.Environ(), fmt.Sprintf("%s=%d", killedVariable, starts))
	var said bytes.Buffer
	manager.Stdout, manager.Stderr = &said, &said
	require.NoError(t, manager.Start())
	ended := make(chan error, 1)
	go func() { ended <- manager.Wait() }()
	kills := 0
	children := fmt.Sprintf("/proc/%d/task/%%s/children", manager.Process.Pid)
	for {
		select {
		case err := <-ended:
			require.NoError(t, err, said.String())
			t.Logf("%d children killed", kills)
			require.NotZero(t, kills)
			for { // its orphans have come to this process
				if _, err := unix.Wait4(-1, nil, unix.WALL, nil); err == unix.ECHILD {
					return
				}
			}
		default:
		}
		tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", manager.Process.Pid))
		for _, task := range tasks {
			list, _ := os.ReadFile(fmt.Sprintf(children, task.Name()))
			for child := range strings.FieldsSeq(string(list)) {
				if pid, err := strconv.Atoi(child); err == nil && unix.Kill(pid, unix.SIGKILL) == nil {
					kills++
				}
			}
		}
	}
}
