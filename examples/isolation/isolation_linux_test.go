package isolation

import (
	"bufio"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// wrapper is one of the scripts, and what is to be known of it.
type wrapper struct {
	script    string
	edit      func(script string) string // nil for the script as it is
	args      []string                   // of it, after the folder
	processes int                        // that the server consists of, at least
	saved     bool                       // when stopped by SIGTERM
}

func TestIsolationByBwrap(t *testing.T) {
	lab.Root(t)
	lab.Program(t, "bwrap")
	w := wrapper{script: "bwrap.sh", processes: 3, saved: true}
	w.exercise(t)

	t.Run("in a session of its own", func(t *testing.T) {
		w := w
		w.edit = adding(t, "bwrap --unshare-pid", "--new-session")
		w.exercise(t)
		t.Run("killed", func(t *testing.T) {
			s := w.start(t)
			s.kill(s.pid)
			require.Contains(t, s.detach("stop", "server.pid"), "not running")
			require.True(t, slices.ContainsFunc(s.held, (*lab.Held).Alive))
		})
	})

	t.Run("killed", func(t *testing.T) {
		s := w.start(t)
		s.kill(s.pid)
		require.Contains(t, s.detach("stop", "server.pid"), "stopped in ")
		s.awaitLog("All dimensions are saved")
		s.requireGone()
	})

	// It takes the server away from under its last save. If it is told to before
	// it has been adopted, it may end with the intermediate of the double fork,
	// which leads the session.
	t.Run("die with parent", func(t *testing.T) {
		w := w
		w.edit = func(script string) string {
			script = adding(t, "bwrap --unshare-pid", "--die-with-parent")(script)
			return strings.Replace(script, "bwrap --unshare-pid", `sh -c 'until awk "{exit \$4 == \$6}" /proc/$$/stat; do :; done; exec "$@"' sh bwrap --unshare-pid`, 1)
		}
		s := w.start(t)
		s.haveSavesHang()
		require.Regexp(t, `stopped in .* \(SIGTERM\)`, s.detach("stop", "--signal", "TERM", "server.pid"))
		s.requireGone()
	})

	t.Run("no port in a network of its own", func(t *testing.T) {
		w := w
		w.edit = adding(t, "bwrap --unshare-pid", "--unshare-net")
		s := w.prepare(t)
		cmd := s.command(adding(t, "--ready tcp=\"$port\"", "--fail log=Autosave")(s.text)) // it has been up for a while by then
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 123, cmd.ProcessState.ExitCode(), "%s", out)
		require.Contains(t, lab.Content(t, s.dir, "console.log"), "Done (")
		s.requireGone()
	})
}

func TestIsolationBySetpriv(t *testing.T) {
	lab.Root(t)
	lab.Program(t, "setpriv")
	w := wrapper{script: "setpriv.sh", args: []string{"nobody"}, processes: 1, saved: true}
	w.exercise(t)

	t.Run("no privileges", func(t *testing.T) {
		s := w.start(t)
		status, ok := lab.ReadStatus(s.pid)
		require.True(t, ok)
		uid := lab.Content(t, s.dir, "uid")
		require.Equal(t, strings.Repeat(uid+"\t", 3)+uid, status["Uid"])
		require.Equal(t, "1", status["NoNewPrivs"])
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			require.Equal(t, "0000000000000000", status[set], set)
		}
		s.detach("stop", "server.pid")
		s.requireGone()
	})
}

func TestIsolationByNspawn(t *testing.T) {
	if !inLab(t, "nspawn.sh", "systemd-nspawn") {
		return
	}
	w := wrapper{script: "nspawn.sh", processes: 3, saved: true}
	w.exercise(t)

	// It ends the container at once, and the server does not save.
	t.Run("without a signal for the container", func(t *testing.T) {
		w := w
		w.edit = without(t, "--kill-signal=SIGRTMIN+3")
		s := w.start(t)
		s.haveSavesHang()
		require.Regexp(t, `stopped in .* \(SIGTERM\)`, s.detach("stop", "--signal", "TERM", "server.pid"))
		s.requireGone()
	})

	// The container outlives it, in the cgroup that is the daemon's.
	t.Run("killed", func(t *testing.T) {
		s := w.start(t)
		s.kill(s.pid)
		require.Contains(t, s.detach("stop", "server.pid"), "stopped in ")
		s.requireGone()
	})

	// Then the container is in a cgroup of its own.
	t.Run("killed in a scope of its own", func(t *testing.T) {
		w := w
		w.edit = without(t, "--keep-unit")
		s := w.start(t)
		s.kill(s.pid)
		require.Contains(t, s.detach("stop", "server.pid"), "not running")
		require.True(t, slices.ContainsFunc(s.held, (*lab.Held).Alive))
	})
}

func TestIsolationByPodman(t *testing.T) {
	if !inLab(t, "podman.sh", "podman", "crun", "conmon") {
		return
	}
	// Podman's own limits are higher than root may set here, and its usual store
	// is not for the file system of the test.
	dir := t.TempDir()
	for name, content := range map[string]string{
		"containers.conf": "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n",
		"storage.conf":    "[storage]\ndriver = \"vfs\"\nrunroot = \"/run/containers/storage\"\ngraphroot = \"/var/lib/containers/storage\"\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	t.Setenv("CONTAINERS_CONF", filepath.Join(dir, "containers.conf"))
	t.Setenv("CONTAINERS_STORAGE_CONF", filepath.Join(dir, "storage.conf"))
	w := wrapper{script: "podman.sh", processes: 3}
	w.exercise(t)

	t.Run("killed", func(t *testing.T) {
		s := w.start(t)
		s.kill(s.pid)
		require.Contains(t, s.detach("stop", "server.pid"), "stopped in ")
		s.requireNoProcess()
		again := w.start(t)
		again.detach("stop", "server.pid")
		again.requireGone()
	})
}

// A folder that lacks what a server needs is refused before anything is made.
func TestIsolationOfAnIncompleteFolder(t *testing.T) {
	scripts, err := filepath.Glob("*.sh")
	require.NoError(t, err)
	require.Len(t, scripts, 4)
	for _, script := range scripts {
		dir := t.TempDir()
		run := func() string {
			out, err := exec.Command("./"+script, dir).CombinedOutput()
			require.Error(t, err)
			return string(out)
		}
		for _, file := range []string{"server.jar", "eula.txt", "server.properties"} {
			require.Equal(t, script+": "+dir+"/"+file+" is missing; README.md says what has to be there\n", run())
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
		}
		require.Equal(t, script+": "+dir+"/server.properties: there is no line server-port=PORT\n", run())
	}
}

// adding returns an edit that adds flags behind some words of a script.
func adding(t *testing.T, words, flags string) func(string) string {
	return func(script string) string {
		require.Equal(t, 1, strings.Count(script, words))
		return strings.Replace(script, words, words+" "+flags, 1)
	}
}

func without(t *testing.T, flag string) func(string) string {
	return func(script string) string {
		require.Equal(t, 1, strings.Count(script, flag))
		return strings.Replace(script, flag, "", 1)
	}
}

const insideVariable = "DETACH_ISOLATION_LAB"

// inLab tells whether the test runs below a systemd of its own. Where it does
// not, it is run there.
func inLab(t *testing.T, script string, programs ...string) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		return true
	}
	for _, program := range programs {
		lab.Program(t, program)
	}
	script, err := filepath.Abs(script)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	java := lab.GameServer(t, t.TempDir())
	cmd := lab.UnifiedSystemd(t, self, "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v",
		"--", script, lab.Bin(t, "detach"), java[len(java)-2]) // whose folders are to be there
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	if strings.Contains(string(out), "--- SKIP") {
		lab.Skip(t, string(out))
	}
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

// server is a game server in a wrapper.
type server struct {
	wrapper
	t      *testing.T
	dir    string
	port   string
	text   string   // of the script
	before []string // mounts
	pid    int
	held   []*lab.Held
}

// exercise shows all that a daemon can do with a wrapper, and all its ends.
func (w wrapper) exercise(t *testing.T) {
	t.Helper()
	t.Run("outlives its manager", func(t *testing.T) {
		s := w.start(t)
		require.Regexp(t, `state +running`, s.detach("status", "--check", "tcp="+s.port, "server.pid"))
		verified := s.detach("verify", "server.pid")
		require.NotRegexp(t, `(?m)^NO `, verified)
		require.Contains(t, verified, "it is detached")
		s.detach("send", "server.pid", "say hello")
		s.awaitLog("[Server] hello")
		require.Regexp(t, `stopped in .* \(console\)`, s.detach("stop", "server.pid"))
		s.awaitLog("All dimensions are saved")
		s.requireGone()
	})

	if w.saved {
		t.Run("stopped by a signal", func(t *testing.T) {
			s := w.start(t)
			require.Regexp(t, `stopped in .* \(SIGTERM\)`, s.detach("stop", "--signal", "TERM", "server.pid"))
			s.awaitLog("All dimensions are saved")
			s.requireGone()
		})
	}

	t.Run("killed when it does not end", func(t *testing.T) {
		s := w.start(t)
		s.haveSavesHang()
		require.Contains(t, s.detach("stop", "--timeout", "1s", "server.pid"), "killed after ")
		s.requireNoProcess()
		if w.script != "podman.sh" { // it keeps its books until the next start
			s.requireGone()
		}
	})
}

// prepare makes the folder of a server, which belongs to the user of the script.
func (w wrapper) prepare(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	command := lab.GameServer(t, dir)
	s := &server{wrapper: w, t: t, dir: dir, port: freePort(t), text: lab.Content(t, w.script), before: mounts(t)}
	t.Cleanup(func() {
		for _, pid := range s.processes() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	if w.edit != nil {
		s.text = w.edit(s.text)
	}
	s.write("server.jar", lab.Content(t, command[len(command)-2]))
	s.write("server.properties", "server-port="+s.port+"\n")
	if len(w.args) > 0 {
		out, err := exec.Command("id", "-u", w.args[0]).Output()
		require.NoError(t, err)
		uid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		require.NoError(t, err)
		s.write("uid", strconv.Itoa(uid))
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			require.NoError(t, err)
			return os.Chown(path, uid, -1)
		}))
	}
	return s
}

func (s *server) write(name, content string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644))
}

// command runs a script for the server, as a command of its own.
func (s *server) command(script string) *exec.Cmd {
	cmd := exec.Command("sh", slices.Concat([]string{"-c", script, "script", s.dir}, s.args)...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(lab.Bin(s.t, "detach"))+":"+os.Getenv("PATH"))
	return cmd
}

// start has a manager start the server, which is then killed with its process
// group and all that descends from it, and takes hold of what is left.
func (w wrapper) start(t *testing.T) *server {
	t.Helper()
	s := w.prepare(t)
	mark := lab.Mark()
	lab.KillMarked(t, mark)
	script := filepath.Join(t.TempDir(), w.script)
	require.NoError(t, os.WriteFile(script, []byte(s.text), 0o700))
	manager := s.command(`"$@" && { sleep ` + mark + ` & wait; }`)
	manager.Args = slices.Insert(manager.Args, 4, script)
	manager.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	manager.Stderr = os.Stderr
	stdout, err := manager.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, manager.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil {
		lab.Until(t, "the manager goes on", func() bool { return len(lab.WithArgument(t, mark)) > 0 })
	}
	for _, pid := range descendants(t, manager.Process.Pid) {
		if pid != manager.Process.Pid {
			s.kill(pid)
		}
	}
	_ = unix.Kill(-manager.Process.Pid, unix.SIGKILL)
	_ = manager.Wait()
	require.NoError(t, err, "the server has not been started")

	s.pid, err = strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	pids := s.processes()
	require.Contains(t, pids, s.pid)
	require.GreaterOrEqual(t, len(pids), w.processes)
	for _, pid := range pids {
		s.held = append(s.held, lab.Hold(t, pid))
	}
	return s
}

func (s *server) kill(pid int) {
	s.t.Helper()
	h := lab.Hold(s.t, pid)
	_ = h.Signal(unix.SIGKILL)
	h.AwaitEnd(s.t)
}

// haveSavesHang has the server hang whenever it saves: it does not end any more.
func (s *server) haveSavesHang() {
	s.t.Helper()
	fifo := filepath.Join(s.dir, "fifo")
	require.NoError(s.t, unix.Mkfifo(fifo, 0o600))
	require.NoError(s.t, os.Chmod(fifo, 0o666))
	require.NoError(s.t, os.Rename(fifo, filepath.Join(s.dir, "world/level.dat_new")))
}

func (s *server) detach(args ...string) string {
	s.t.Helper()
	cmd := exec.Command(lab.Bin(s.t, "detach"), args...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s", out)
	return string(out)
}

func (s *server) awaitLog(text string) {
	s.t.Helper()
	lab.Until(s.t, text+" in the log", func() bool { return lab.Contains(filepath.Join(s.dir, "console.log"), text) })
}

// requireNoProcess shows that no process of the server is left, and no PID file.
func (s *server) requireNoProcess() {
	s.t.Helper()
	for _, h := range s.held {
		require.False(s.t, h.Alive(), h.PID)
	}
	require.Empty(s.t, s.processes())
	require.NoFileExists(s.t, filepath.Join(s.dir, "server.pid"))
	require.NoFileExists(s.t, filepath.Join(s.dir, "server.pid.json"))
}

// requireGone shows that nothing of it is left: no mount and no cgroup either.
func (s *server) requireGone() {
	s.t.Helper()
	s.requireNoProcess()
	for _, mount := range mounts(s.t) {
		if !slices.Contains(s.before, mount) {
			require.NotRegexp(s.t, regexp.QuoteMeta(s.dir)+`|nspawn|userdata`, mount)
		}
	}
	if os.Getenv(insideVariable) == "" {
		return // it had none
	}
	lab.Until(s.t, "the end of its units and cgroups", func() bool {
		units, err := exec.Command("systemctl", "list-units", "--all", "--no-legend", "detach-*", "machine-*", "libpod-*").Output()
		require.NoError(s.t, err)
		left := string(units)
		require.NoError(s.t, filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && ofServer.MatchString(entry.Name()) {
				left += path
			}
			return nil
		}))
		return left == ""
	})
}

var ofServer = regexp.MustCompile(`^(detach-.*\.service|machine-.*|libpod.*|payload|supervisor)$`)

func mounts(t *testing.T) []string {
	t.Helper()
	return strings.Split(lab.Content(t, "/proc/self/mountinfo"), "\n")
}

// processes returns those that name the folder of the server or have one of its
// files open, with their descendants, and the parents of these. The test, what
// runs it, and PID 1, which as systemd holds files of its services, are not of
// them.
func (s *server) processes() []int {
	s.t.Helper()
	var files []os.FileInfo
	for _, name := range []string{"console.log", "console.in", "world/session.lock"} {
		if info, err := os.Stat(filepath.Join(s.dir, name)); err == nil {
			files = append(files, info)
		}
	}
	ours := append(ancestors(s.t, os.Getpid()), os.Getpid(), 1)
	var found []int
	for _, pid := range allProcesses(s.t) {
		if slices.Contains(ours, pid) {
			continue
		}
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		descriptors, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if strings.Contains(string(cmdline), s.dir) || slices.ContainsFunc(descriptors, func(path string) bool {
			info, err := os.Stat(path)
			return err == nil && slices.ContainsFunc(files, func(file os.FileInfo) bool { return os.SameFile(info, file) })
		}) {
			found = slices.Concat(found, descendants(s.t, pid), ancestors(s.t, pid))
		}
	}
	slices.Sort(found)
	return slices.DeleteFunc(slices.Compact(found), func(pid int) bool { return slices.Contains(ours, pid) || !lab.Alive(pid) })
}

func allProcesses(t *testing.T) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parentOf returns 0 for a process that has ended.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	status, ok := lab.ReadStatus(pid)
	if !ok {
		return 0
	}
	return status.Int(t, "PPid")
}

// descendants returns those of a process, and itself.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	children := map[int][]int{}
	for _, pid := range allProcesses(t) {
		parent := parentOf(t, pid)
		children[parent] = append(children[parent], pid)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

func ancestors(t *testing.T, pid int) (all []int) {
	t.Helper()
	for pid = parentOf(t, pid); pid > 0; pid = parentOf(t, pid) {
		all = append(all, pid)
	}
	return all
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}
