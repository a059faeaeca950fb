package detach

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/lab"
)

// Whatever the kernel answers, the number of checks and their names are the same.
var checkNames = []string{"alive", "session", "leader", "terminal", "parent", "stdin", "stdout", "stderr", "signals", "descriptors", "environment"}

func requireNames(t *testing.T, checks []Check) {
	t.Helper()
	var names []string
	for _, c := range checks {
		names = append(names, c.Name)
		require.NotEmpty(t, c.Got, c.Name)
		require.NotEmpty(t, c.Want, c.Name)
		require.False(t, c.OK && c.Unknown, c.Name)
	}
	require.Equal(t, checkNames, names)
}

func TestVerifyOfThisProcess(t *testing.T) {
	p, err := Find(os.Getpid())
	require.NoError(t, err)
	r, err := p.Verify()
	require.NoError(t, err)
	requireNames(t, r.Checks)
	require.NotEmpty(t, r.Diagnosis)

	require.NoError(t, p.Close())
	_, err = p.Verify()
	require.ErrorIs(t, err, os.ErrClosed)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "verify", e.Op)
}

// Whoever asks may be the manager itself.
func TestVerifyByTheManager(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	defer out.Close()
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lab.AwaitExec(t, cmd.Process.Pid)
	p, err := Find(cmd.Process.Pid)
	require.NoError(t, err)
	defer p.Close()
	r, err := p.Verify()
	require.NoError(t, err)
	requireNames(t, r.Checks)
	require.Contains(t, r.Checks[6].Got, fmt.Sprintf("pipe, read by PID %d (", os.Getpid()))
}

// One that has ended is not reported on, though its PID and /proc be there.
func TestVerifyAfterTheEnd(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	p, err := Find(cmd.Process.Pid)
	require.NoError(t, err)
	defer p.Close()
	r, err := p.Verify()
	require.NoError(t, err)
	requireNames(t, r.Checks)
	require.NoError(t, cmd.Process.Kill())
	for _, reaped := range []bool{false, true} {
		if reaped {
			_ = cmd.Wait()
		}
		var e *Error
		for { // the signal is on its way
			if _, err = p.Verify(); err != nil {
				break
			}
		}
		require.ErrorAs(t, err, &e)
		require.Equal(t, &Error{Op: "verify", Path: fmt.Sprint(p.PID), Err: ErrExited}, e, "reaped: %v", reaped)
	}
	_, err = (&Process{PID: p.PID}).Verify()
	require.ErrorIs(t, err, ErrExited)
}

// While a process ends it loses what it had, one thing after the other. With
// much memory to give back that takes a while.
func TestVerifyWhileItEnds(t *testing.T) {
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip("no " + python)
	}
	cmd := exec.Command(python, "-c", `import sys
memory = bytearray(b"x") * (256 << 20)
print("up", flush=True)
sys.stdin.read()`)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	_, err = out.Read(make([]byte, 3))
	require.NoError(t, err)
	p, err := Find(cmd.Process.Pid)
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, cmd.Process.Kill())
	for {
		r, err := p.Verify()
		if err != nil {
			require.ErrorIs(t, err, ErrExited)
			return
		}
		for _, c := range r.Checks {
			require.False(t, c.Unknown, "%+v", c)
		}
	}
}

// A process whose first thread has ended goes on, and has what it had.
func TestVerifyWithoutTheFirstThread(t *testing.T) {
	const python = "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip("no " + python)
	}
	cmd := exec.Command(python, "-c", `import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
ctypes.CDLL(None).pthread_exit(None)`)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	cmd.Stdout = log
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for {
		stat, err := proc.ReadStat(cmd.Process.Pid)
		require.NoError(t, err)
		if stat.State == 'Z' {
			break
		}
	}
	p, err := Find(cmd.Process.Pid)
	require.NoError(t, err)
	defer p.Close()
	r, err := p.Verify()
	require.NoError(t, err)
	requireNames(t, r.Checks)
	require.Equal(t, "its first thread has ended, others run", r.Checks[0].Got)
	require.Equal(t, log.Name(), r.Checks[6].Got)
	require.False(t, r.Checks[10].Unknown, r.Checks[10].Got)
}

// observe makes an inspection of a process 100 that was born in session 90 and
// has these around it.
func observe(stat proc.Stat, others ...proc.Process) *inspection {
	in := &inspection{pid: 100, dir: "/proc/0", stat: stat, names: map[int]string{}, environErr: fs.ErrPermission}
	in.stat.State, in.stat.Start = 'S', 1000
	in.arrange(append(others, proc.Process{PID: 100, Stat: in.stat}))
	for _, q := range others {
		in.names[q.PID] = fmt.Sprint("p", q.PID)
	}
	return in
}

func other(pid, parent, group, session int, start uint64) proc.Process {
	return proc.Process{PID: pid, Stat: proc.Stat{State: 'S', Parent: parent, Group: group, Session: session, Start: start}}
}

const gone = 1 << 30 // a PID that nobody has

// A session is its own if whoever is in it was there later, or came from it.
func TestSessionSharers(t *testing.T) {
	stat := proc.Stat{Parent: 50, Group: gone, Session: gone}
	for name, c := range map[string]struct {
		others []proc.Process
		want   []int
	}{
		"alone":               {nil, nil},
		"another session":     {[]proc.Process{other(60, 1, 60, 60, 10)}, nil},
		"an elder":            {[]proc.Process{other(60, 1, 60, gone, 10)}, []int{60}},
		"a younger one":       {[]proc.Process{other(60, 1, 60, gone, 2000)}, nil},
		"its child, as old":   {[]proc.Process{other(60, 100, 60, gone, 999)}, nil},
		"its grandchild":      {[]proc.Process{other(61, 60, 60, gone, 999), other(60, 100, 60, 60, 999)}, nil},
		"its parent, as old":  {[]proc.Process{other(50, 1, 50, gone, 1000)}, []int{50}},
		"its parent's parent": {[]proc.Process{other(50, 40, 50, 50, 1000), other(40, 1, 50, gone, 1000)}, []int{40}},
		"who is above, first": {[]proc.Process{other(60, 1, 60, gone, 500), other(61, 1, 60, gone, 600), other(50, 1, 50, gone, 10)}, []int{50, 61, 60}},
		"one PID twice":       {[]proc.Process{other(60, 100, 60, gone, 10), other(61, 60, 60, gone, 10), other(60, 61, 60, gone, 10)}, nil},
		"a circle":            {[]proc.Process{other(50, 40, 50, gone, 10), other(40, 50, 50, gone, 10)}, []int{50, 40}},
	} {
		t.Run(name, func(t *testing.T) {
			in := observe(stat, c.others...)
			require.Equal(t, c.want, in.sessionSharers())
			require.Equal(t, len(c.want) == 0, in.checkSession().OK)
			dead := observe(stat)
			for i := range c.others {
				c.others[i].State = 'Z'
			}
			dead.arrange(append(c.others, proc.Process{PID: 100, Stat: dead.stat}))
			require.Empty(t, dead.sessionSharers(), "who has ended does not count")
		})
	}

	// Start has made it for the daemon alone: whoever is there came from it.
	in := observe(stat, other(60, 1, gone, gone, 10))
	require.NotEmpty(t, in.sessionSharers())
	require.NotEmpty(t, in.groupSharers())
	in.record = Record{Version: 1, Session: gone}
	require.Empty(t, in.sessionSharers())
	require.Empty(t, in.groupSharers())
	in.record.Session = 80
	require.NotEmpty(t, in.sessionSharers())
}

func TestCheckSession(t *testing.T) {
	in := observe(proc.Stat{Parent: 1, Session: os.Getpid()})
	in.names[os.Getpid()] = "me"
	require.Equal(t, Check{Name: "session", Got: fmt.Sprintf("%d, that of me", os.Getpid()), Want: wantSession}, in.checkSession())
	in = observe(proc.Stat{})
	require.Equal(t, "that of a process outside this PID namespace", in.checkSession().Got)
	in.machine = true
	require.Equal(t, "0, that of the kernel and of what is started before PID 1 makes one", in.checkSession().Got)
	require.False(t, in.checkSession().OK)
	in.pid = 1
	require.Equal(t, Check{Name: "session", OK: true, Got: "0, that of the kernel", Want: wantSession}, in.checkSession())
	require.Equal(t, Check{Name: "session", OK: true, Got: "100, its own", Want: wantSession}, observe(proc.Stat{Session: 100}).checkSession())
	require.True(t, observe(proc.Stat{Session: gone}).checkSession().OK)
}

func TestCheckLeader(t *testing.T) {
	require.True(t, observe(proc.Stat{Session: 90}).checkLeader().OK)
	in := observe(proc.Stat{Session: 100})
	require.False(t, in.checkLeader().OK)
	in.service = true
	require.True(t, in.checkLeader().OK)
	in.service = false
	in.record = Record{Version: 1, Session: 90}
	require.Equal(t, Check{Name: "leader", OK: true, Got: "session leader by its own setsid", Want: wantLeader}, in.checkLeader())
}

func TestTerminalName(t *testing.T) {
	for number, want := range map[int]string{
		0x8803:           "pts/3",
		0x88ff:           "pts/255",
		0x8900:           "pts/256",
		0x0401:           "tty1",
		0x0440:           "ttyS0",
		0x0501:           "device 5:1",
		0x4100:           "device 65:0",
		-2147448829:      "pts/524291", // minor number 0x80003, as %d prints it
		0x10008803:       "pts/65539",
		int(0x7ff0_cc01): "device 204:524033",
	} {
		require.Equal(t, want, terminalName(number), "%#x", number)
	}
	in := observe(proc.Stat{TTY: 0x8803})
	require.Equal(t, Check{Name: "terminal", Got: "pts/3", Want: "none"}, in.checkTerminal())
}

func TestParentage(t *testing.T) {
	for name, c := range map[string]struct {
		stat   proc.Stat
		others []proc.Process
		record Record
		want   parentage
	}{
		"PID 1":                        {proc.Stat{Parent: 1, Session: 90}, nil, Record{}, parentInit},
		"the parent's session":         {proc.Stat{Parent: 50, Session: 90}, []proc.Process{other(50, 1, 50, 90, 1)}, Record{}, parentStarter},
		"a session of its own":         {proc.Stat{Parent: 50, Session: 100}, []proc.Process{other(50, 1, 50, 90, 1)}, Record{}, parentStarter},
		"born elsewhere":               {proc.Stat{Parent: 50, Session: 90}, []proc.Process{other(50, 1, 50, 50, 1)}, Record{}, parentAdopter},
		"a daemon":                     {proc.Stat{Parent: 50, Session: 100}, []proc.Process{other(50, 1, 50, 50, 1)}, Record{Version: 1, Session: 90}, parentAdopter},
		"a daemon of its parent":       {proc.Stat{Parent: 50, Session: 90}, []proc.Process{other(50, 1, 50, 50, 1)}, Record{Version: 1, Starter: &Identity{PID: 50, Start: 1}}, parentStarter},
		"a daemon of its predecessor":  {proc.Stat{Parent: 50, Session: 90}, []proc.Process{other(50, 1, 50, 50, 2)}, Record{Version: 1, Starter: &Identity{PID: 50, Start: 1}}, parentAdopter},
		"a parent that cannot be seen": {proc.Stat{Parent: 50, Session: 90}, nil, Record{}, parentOutside},
		"outside":                      {proc.Stat{Session: 90}, nil, Record{}, parentOutside},
	} {
		t.Run(name, func(t *testing.T) {
			in := observe(c.stat, c.others...)
			in.record = c.record
			if in.byPID[50].PID == 50 { // whoever has that PID here is not asked
				in.names[50] = "p50"
			}
			require.Equal(t, c.want, in.parentage())
			check := in.checkParent()
			require.Equal(t, c.want == parentInit || c.want == parentAdopter, check.OK)
			require.Equal(t, c.want == parentOutside, check.Unknown)
			codes := map[parentage]HazardCode{parentAdopter: HazardSubreaper}
			if c.record.Starter != nil && c.want == parentStarter {
				codes[parentStarter] = HazardReaper
			}
			if hazards := in.adopterHazard(); codes[c.want] == "" {
				require.Empty(t, hazards)
			} else {
				require.Equal(t, codes[c.want], hazards[0].Code)
			}
		})
	}
	require.True(t, isNamespaceInit(proc.Status{NSpid: []int{50, 1}}))
	require.False(t, isNamespaceInit(proc.Status{NSpid: []int{1}}), "it is this one's")
	require.False(t, isNamespaceInit(proc.Status{NSpid: []int{50, 2}}))
	require.False(t, isNamespaceInit(proc.Status{}))
}

// What takes orphans by its nature, by what it is called: the name is all
// there is.
func TestReapers(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		args []string
		want bool
	}{
		"tini":                    {[]string{"1000"}, true},
		"containerd-shim-runc-v2": {[]string{"1000"}, true},
		"sleep":                   {[]string{"1000"}, false},
		"systemd":                 {[]string{"1000"}, false},
	} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.Symlink(sleep, path))
		cmd := exec.Command(path, c.args...)
		require.NoError(t, cmd.Start())
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		lab.AwaitExec(t, cmd.Process.Pid)
		require.Equal(t, c.want, (&inspection{}).isInit(cmd.Process.Pid), name)
	}
	path := filepath.Join(t.TempDir(), "systemd")
	require.NoError(t, os.Symlink("/bin/sh", path))
	cmd := exec.Command(path, "-c", "read x; :", "--user")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lab.AwaitExec(t, cmd.Process.Pid)
	require.True(t, (&inspection{}).isInit(cmd.Process.Pid))
	require.NoError(t, in.Close())
	_ = cmd.Wait()
}

func TestQuoteName(t *testing.T) {
	for name, want := range map[string]string{
		"java":         "java",
		"python3.11":   "python3.11",
		"kworker/0:1":  "kworker/0:1",
		"":             `""`,
		"a b":          `"a b"`,
		"x) ok (PID 1": `"x) ok (PID 1"`,
		"a\nb":         `"a\nb"`,
		"\x1b[2J\xff":  `"\x1b[2J\xff"`,
		"ÿ":            `"ÿ"`,
	} {
		require.Equal(t, want, quoteName(name))
	}
	in := &inspection{names: map[int]string{1: "a", 2: "b", 3: "c", 4: "d", 5: "e"}}
	require.Equal(t, "a", in.nameAll([]int{1}))
	require.Equal(t, "a and b", in.nameAll([]int{1, 2}))
	require.Equal(t, "a, b, c and 2 more", in.nameAll([]int{1, 2, 3, 4, 5}))
	require.Equal(t, fmt.Sprintf("PID %d", gone), (&inspection{names: map[int]string{}}).name(gone))
}

func TestCauseWords(t *testing.T) {
	for _, err := range []error{unix.EACCES, unix.EPERM, &fs.PathError{Err: unix.EACCES}} {
		require.Equal(t, "permission denied", causeWords(err))
	}
	for _, err := range []error{unix.ENOENT, unix.ESRCH, &fs.PathError{Err: unix.ENOENT}} {
		require.Equal(t, "hidden in /proc", causeWords(err))
	}
	require.Equal(t, "odd", causeWords(errors.New("odd")))
}

// It has to be the same process in the same place from the first read to the last.
func TestSettled(t *testing.T) {
	stat, err := proc.ReadStat(os.Getpid())
	require.NoError(t, err)
	in := &inspection{pid: os.Getpid(), stat: stat}
	require.True(t, in.settled())
	for _, move := range []func(*proc.Stat){
		func(s *proc.Stat) { s.Parent++ },
		func(s *proc.Stat) { s.Session++ },
		func(s *proc.Stat) { s.Group++ },
		func(s *proc.Stat) { s.TTY++ },
	} {
		in.stat = stat
		move(&in.stat)
		require.False(t, in.settled())
	}
	in.stat, in.statErr = stat, unix.ENOENT
	require.False(t, in.settled())
}

func TestDiagnoseUnknown(t *testing.T) {
	in := &inspection{pid: gone, dir: procDir(gone), statErr: unix.ENOENT, names: map[int]string{}}
	r := in.report()
	requireNames(t, r.Checks)
	require.Equal(t, "it cannot be told whether it is detached: hidden in /proc: ask as its user, or as root", r.Diagnosis)
	require.Empty(t, r.Hazards)
	require.True(t, strings.HasSuffix(r.Checks[1].Got, "cannot be told: hidden in /proc"))
}

func TestSignalsUnknown(t *testing.T) {
	in := observe(proc.Stat{})
	in.statusErr = unix.EACCES
	require.Equal(t, Check{Name: "signals", Got: "cannot be told: permission denied", Want: wantSignals, Unknown: true}, in.checkSignals())
	require.Equal(t, ": ask as its user, or as root", in.whomToAsk())
}
