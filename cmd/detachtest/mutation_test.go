//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An edit replaces a text, which must be there once, in a file of the module.
type edit struct{ file, text, by string }

const (
	intermediateFile = "detach/internal/doublefork/intermediate_linux.go"
	daemonFile       = "detach/internal/doublefork/daemon_linux.go"
	startFile        = "detach/internal/doublefork/start_linux.go"
)

// credulous has detach not look whether what it has started is detached: it
// would notice itself, and there would be nothing left to test.
var credulous = edit{"detach/verify_linux.go", `if !c.OK && `, `if false && `}

// mutations are what could be lost of detach, each with a death or check that
// must notice, and what it says.
var mutations = []struct {
	name  string
	edits []edit
	seen  map[string]string
}{
	{"second fork removed", []edit{
		credulous,
		// The first clone then becomes the program, with a copy of the
		// descriptors, and nobody waits for it.
		{intermediateFile, `shareMemory|unix.CLONE_VFORK|unix.CLONE_FILES`, `shareMemory|unix.CLONE_VFORK`},
		{intermediateFile, "\tdaemon, errno = rawCloneOnto(", "\tbecomeDaemon(m)\n\tdaemon, errno = rawCloneOnto("},
		{startFile, "\treap(int(intermediate))\n", ""},
		{startFile, "\tcase p.PID == 0:\n", "\tcase p.PID == 0:\n\t\tp.PID = intermediate\n\t\tp.PIDFD, err = unix.PidfdOpen(intermediate, 0)\n\tcase false:\n"},
	}, map[string]string{"terminal": "it leads its session"}},
	{"setsid removed", []edit{
		credulous,
		{intermediateFile, `errno = sys(unix.SYS_SETSID, 0, 0, 0, 0, 0)`, `errno = 0`},
	}, map[string]string{"kill-session": "SIGKILL", "sigterm-group": "SIGTERM", "hangup": "SIGHUP", "terminal": "still has the manager's terminal"}},
	{"descriptors not closed", []edit{
		{daemonFile, `CloseDescriptors, sys(unix.SYS_CLOSE_RANGE, 3, uintptr(^uint32(0)), unix.CLOSE_RANGE_CLOEXEC, 0, 0)`, `CloseDescriptors, 0`},
	}, map[string]string{"descriptors": "3 is /dev/zero", "port": "the manager's listening socket"}},
	{"signals not reset", []edit{
		{daemonFile, `ResetSignals, resetDispositions(m)`, `ResetSignals, 0`},
	}, map[string]string{"signals": "ignored"}},
	{"signals not unblocked", []edit{
		{daemonFile, `sys(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&m.zeros)), 0, sigsetLen, 0)`, ``},
	}, map[string]string{"signals": "all signals blocked"}},
	{"pipe kept", []edit{
		{"detach/stdio_linux.go", `case regular, nullDevice:`, `default:`},
	}, map[string]string{"pipes": "it holds the pipe that the launcher was given", "closed-pipes": "SIGPIPE", "sigkill": "SIGPIPE"}},
	{"limit of open files not restored", []edit{
		{daemonFile, `errno == 0 && m.nofile != nil`, `false`},
	}, map[string]string{"open-files": "born with a limit of "}},
	{"log not appended", []edit{
		{"detach/stdio_linux.go", `unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT`, `unix.O_WRONLY | unix.O_CREAT`},
	}, map[string]string{"append": "not opened for appending"}},
	{"PID not written", []edit{
		{daemonFile, `m.digits[i] = byte('0' + pid%10)`, `m.digits[i] = '1'`},
	}, map[string]string{"pid": "the PID file has \"1"}},
	{"failed start not reported", []edit{
		{"cmd/detach/messages.go", `		return statusNotFound`, `		return statusStarted`},
	}, map[string]string{"exec-failure": "a file that does not exist, the launcher exited with status 0"}},
}

// What detachtest cannot see of detach, detach could lose without notice.
func TestMutationsOfDetachAreCaught(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			detach := buildMutant(t, root, m.edits)
			var names []string
			for name := range m.seen {
				names = append(names, name)
			}
			args := []string{"--only", strings.Join(names, ","), "--", detach, "-p", "{pidfile}"}
			if m.seen["pipes"] == "" {
				args = append(args, "-o", "{log}")
			}
			r, _ := report(t, append(args, "--")...)
			seen := 0
			for _, v := range append(r.Verdicts, r.Findings...) {
				why, ok := m.seen[v.Death+v.Check]
				require.True(t, ok)
				require.Contains(t, []outcome{died, bad}, v.Outcome, "%+v", v)
				require.Contains(t, v.Why, why)
				seen++
			}
			require.Len(t, m.seen, seen)
		})
	}
}

// buildMutant builds the command detach with edits, and returns its path. The
// files themselves stay as they are.
func buildMutant(t *testing.T, root string, edits []edit) string {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for i, e := range edits {
		original := filepath.Join(root, e.file)
		from, again := overlay.Replace[original]
		if !again {
			from = original
		}
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(data), e.text), "%s is to have once: %s", e.file, e.text)
		edited := filepath.Join(dir, strings.ReplaceAll(e.file, "/", "_"))
		require.NoError(t, os.WriteFile(edited, []byte(strings.Replace(string(data), e.text, e.by, 1)), 0o600), i)
		overlay.Replace[original] = edited
	}
	data, err := json.Marshal(overlay)
	require.NoError(t, err)
	file, mutant := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "detach")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	build := exec.Command("go", "build", "-overlay", file, "-o", mutant, "./cmd/detach")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return mutant
}
