package detach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
	"github.com/detachkit/detach/detach/internal/service"
	"github.com/detachkit/detach/detach/lab"
)

// stubborn is a service manager that answers as a test wants.
type stubborn struct {
	service.Manager
	connect error
	start   error
	pid     int // of what is started
	unit    service.Unit
	look    error
	stopped atomic.Int32

	elsewhere bool // in another PID namespace
}

func (s *stubborn) Connect(context.Context, int) (service.Manager, error) { return s, s.connect }
func (s *stubborn) Sessions(context.Context) (service.Sessions, error) {
	return nil, errors.New("no logind")
}
func (s *stubborn) Start(context.Context, *service.Spec) (int, error) { return s.pid, s.start }
func (s *stubborn) Look(context.Context, string) (service.Unit, error) {
	return s.unit, s.look
}
func (s *stubborn) Stop(context.Context, string) error { s.stopped.Add(1); return nil }
func (s *stubborn) Peer() int {
	if s.elsewhere {
		return 0
	}
	return -1
}
func (s *stubborn) Close() {}

// asked makes this package ask s instead of a systemd.
func asked(t *testing.T, s *stubborn) {
	service.Register(s)
	t.Cleanup(func() { service.Unregister() })
}

// A program that does not import the driver has none.
func TestViaSystemdNotLinked(t *testing.T) {
	cmd := Command("sleep", "1000")
	cmd.Via = ViaSystemd
	_, err := cmd.Start(t.Context())
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.EqualError(t, err, `detach: via systemd: this program has no D-Bus in it: import _ "github.com/detachkit/detach/detach/systemd"`)
	cmd.Via = "cloud"
	_, err = cmd.Start(t.Context())
	require.ErrorIs(t, err, unix.EINVAL)
}

// Where systemd was asked and has not answered, nothing else is started, and
// what may run yet is on record until it is known.
func TestSystemdThatDoesNotAnswer(t *testing.T) {
	mark := lab.Mark()
	lab.KillMarked(t, mark)
	dir := t.TempDir()
	cmd := Command("sleep", mark)
	cmd.Dir, cmd.PIDFile, cmd.Via = dir, "x.pid", ViaSystemd
	fork := *cmd
	fork.Via = ViaFork

	silent := &stubborn{start: &service.UnansweredError{Unit: "x.service", Err: errors.New("nothing")}, look: errors.New("nothing")}
	asked(t, silent)
	_, err := cmd.Start(t.Context())
	require.ErrorContains(t, err, "systemd was asked to start x.service and has not answered")
	require.NoFileExists(t, filepath.Join(dir, "x.pid"))
	record, err := ReadRecord(filepath.Join(dir, "x.pid"))
	require.NoError(t, err)
	require.Zero(t, record.PID)
	require.Regexp(t, `^detach-x-[0-9a-f]{16}\.service$`, record.Unit)

	_, err = fork.Start(t.Context())
	require.ErrorContains(t, err, "whether "+record.Unit+" runs cannot be told: nothing")
	_, err = Open(filepath.Join(dir, "x.pid"))
	require.ErrorContains(t, err, "cannot be told")
	require.Empty(t, lab.WithArgument(t, mark))

	// A stranger has its number here, as in another PID namespace.
	stranger := startStranger(t)
	asked(t, &stubborn{unit: service.Unit{Active: "active", PID: stranger.PID}})
	_, err = fork.Start(t.Context())
	require.ErrorContains(t, err, "whether "+record.Unit+" runs cannot be told: ")
	_, err = Stop(t.Context(), filepath.Join(dir, "x.pid"), StopOptions{})
	require.ErrorContains(t, err, "whether "+record.Unit+" runs cannot be told: ")
	asked(t, &stubborn{elsewhere: true})
	_, err = Stop(t.Context(), filepath.Join(dir, "x.pid"), StopOptions{})
	require.ErrorContains(t, err, "cannot be told: systemd is in another PID namespace than the caller")
	requireUntouched(t, stranger)

	// It does not run, after all.
	gone := &stubborn{unit: service.Unit{Active: "inactive"}}
	asked(t, gone)
	_, err = Open(filepath.Join(dir, "x.pid"))
	require.ErrorIs(t, err, ErrExited)
	_, err = Stop(t.Context(), filepath.Join(dir, "x.pid"), StopOptions{})
	require.NoError(t, err)
	_, err = ReadRecord(filepath.Join(dir, "x.pid"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	p, err := fork.Start(t.Context())
	require.NoError(t, err)
	require.Equal(t, ViaFork, p.Record.Via)
	require.Empty(t, p.Record.Unit)
	require.NoError(t, p.Kill(t.Context()))
	p.Close()
}

// startInUnit starts a program in a cgroup that has the name of a unit.
func startInUnit(t *testing.T, unit string) *Process {
	lab.Root(t)
	cmd := Command("sleep", "1000")
	cmd.Via, cmd.Cgroup = ViaCgroup, "/"+unit
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := p.Stop(context.Background(), StopOptions{Timeout: -1})
		require.NoError(t, err)
		p.Close()
	})
	return p
}

// What was pending and runs is found, by its unit.
func TestSystemdThatDoesNotAnswerAndStarts(t *testing.T) {
	lab.Root(t)
	dir := t.TempDir()
	cmd := Command("sleep", "1000")
	cmd.Dir, cmd.PIDFile, cmd.Via = dir, "x.pid", ViaSystemd
	asked(t, &stubborn{start: &service.UnansweredError{Unit: "x.service", Err: errors.New("nothing")}, look: errors.New("nothing")})
	_, err := cmd.Start(t.Context())
	require.Error(t, err)
	record, err := ReadRecord(filepath.Join(dir, "x.pid"))
	require.NoError(t, err)

	unit := startInUnit(t, record.Unit)
	asked(t, &stubborn{unit: service.Unit{Active: "active", PID: unit.PID}})
	cmd.Via = ViaFork
	var already *RunningError
	_, err = cmd.Start(t.Context())
	require.ErrorAs(t, err, &already)
	require.Equal(t, unit.PID, already.PID)
	pid, err := os.ReadFile(filepath.Join(dir, "x.pid"))
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(unit.PID)+"\n", string(pid))
	p, err := Open(filepath.Join(dir, "x.pid"))
	require.NoError(t, err)
	defer p.Close()
	require.Equal(t, unit.PID, p.PID)
	require.Equal(t, unit.PID, p.Record.PID)
}

// What systemd says of a start is the number of a stranger here: that is not
// touched, and the unit is stopped.
func TestSystemdStartsAStranger(t *testing.T) {
	stranger := startStranger(t)
	cmd := Command("sleep", "1000")
	cmd.Dir, cmd.PIDFile, cmd.Via = t.TempDir(), "x.pid", ViaSystemd
	systemd := &stubborn{pid: stranger.PID}
	asked(t, systemd)
	_, err := cmd.Start(t.Context())
	require.ErrorIs(t, err, ErrNotDetached)
	require.ErrorContains(t, err, fmt.Sprintf("unit of PID %d: ", stranger.PID))
	require.EqualValues(t, 1, systemd.stopped.Load())
	requireUntouched(t, stranger)
	entries, err := os.ReadDir(cmd.Dir)
	require.NoError(t, err)
	require.Empty(t, entries)

	systemd.elsewhere = true
	_, err = cmd.Start(t.Context())
	require.EqualError(t, err, "detach: via systemd: systemd is in another PID namespace than the caller")
	require.EqualValues(t, 1, systemd.stopped.Load(), "nothing was started")
}

func startStranger(t *testing.T) *Process {
	t.Helper()
	cmd := Command("sleep", "1000")
	cmd.Via = ViaFork
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = p.Kill(context.Background())
		p.Close()
	})
	return p
}

func requireUntouched(t *testing.T, p *Process) {
	t.Helper()
	require.False(t, p.hasEnded())
}

// A unit of the same name is a daemon that runs, or one that is about to be
// forgotten.
func TestSystemdHasTheUnitAlready(t *testing.T) {
	dir := t.TempDir()
	cmd := Command("sleep", "1000")
	cmd.Dir, cmd.PIDFile, cmd.Via = dir, "x.pid", ViaSystemd
	asked(t, &stubborn{start: service.ErrExists, unit: service.Unit{Active: "active", PID: 4711}})
	_, err := cmd.Start(t.Context())
	var already *RunningError
	require.ErrorAs(t, err, &already)
	require.Equal(t, 4711, already.PID)

	asked(t, &stubborn{start: service.ErrExists, unit: service.Unit{Active: "active"}})
	_, err = Stop(t.Context(), filepath.Join(dir, "x.pid"), StopOptions{})
	require.NoError(t, err)
	_, err = cmd.Start(t.Context())
	require.ErrorContains(t, err, "processes of an earlier daemon are left in detach-x-")

	ctx, cancel := context.WithCancel(t.Context())
	dying := &stubborn{start: service.ErrExists, unit: service.Unit{Active: "failed"}}
	asked(t, dying)
	go func() {
		for dying.stopped.Load() < 3 {
		}
		cancel()
	}()
	_, err = Stop(t.Context(), filepath.Join(dir, "x.pid"), StopOptions{})
	require.NoError(t, err)
	_, err = cmd.Start(ctx)
	require.Error(t, err)
}

// Names that systemd would read something into are left out.
func TestUnitWord(t *testing.T) {
	for name, want := range map[string]string{"server": "server-", "a b@c.d%e/f": "abcdef-", "é": "", "": ""} {
		require.Equal(t, want, unitWord(name))
	}
	require.Len(t, unitWord("0123456789012345678901234567890123456789"), 33)
}

func TestVariables(t *testing.T) {
	list, lost := variables([]string{"A=1", "A=2", "B", "1C=3", "D_1=", "=x", "E.F=4"})
	require.Equal(t, []string{"A=1", "D_1="}, list)
	require.Equal(t, []string{"B", "1C", "", "E.F"}, lost)
}

func TestPlaceOf(t *testing.T) {
	for path, want := range map[string]place{
		"":                                     {login: -1},
		"/system.slice/panel.service":          {unit: "panel.service", login: -1},
		"/system.slice/docker.service/a.scope": {unit: "docker.service", login: -1},
		"/user.slice/user-1000.slice/session-3.scope":                               {unit: "session-3.scope", login: 1000},
		"/user.slice/user-1000.slice/user@1000.service/app.slice/a.service/b.scope": {unit: "user@1000.service", userUnit: "a.service", user: 1000, login: 1000},
		"/user.slice/user-1000.slice/user@1000.service":                             {unit: "user@1000.service", user: 1000, login: 1000},
		"/user.slice/user-1000.slice/session-3.scope/user-7.slice":                  {unit: "session-3.scope", login: 1000},
		"/system.slice/_cgroup.service":                                             {unit: "cgroup.service", login: -1},
	} {
		require.Equal(t, want, placeOf(path), path)
	}
}

// The main process of a unit may be anywhere by what it has told systemd. It is
// the daemon only if it is in the unit.
func TestRestartedElsewhere(t *testing.T) {
	stranger := exec.Command("sleep", "1000")
	require.NoError(t, stranger.Start())
	t.Cleanup(func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	})
	dir := t.TempDir()
	cmd := Command("sleep", "1000")
	cmd.Dir, cmd.PIDFile, cmd.Via = dir, "x.pid", ViaFork
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Signal(unix.SIGKILL))
	_, err = p.Wait(t.Context())
	require.NoError(t, err)
	record := p.Record
	file, err := openPIDDir(filepath.Join(dir, "x.pid"))
	require.NoError(t, err)
	record.Via, record.Unit, record.Restart = ViaSystemd, unitNameOf(&record, file), RestartAlways
	file.close()
	data, err := record.encode()
	require.NoError(t, err)
	path := filepath.Join(dir, "x.pid")
	require.NoError(t, os.WriteFile(path+".json", data, 0o644))
	asked(t, &stubborn{unit: service.Unit{Active: "active", PID: stranger.Process.Pid}})
	_, err = Open(path)
	require.ErrorContains(t, err, "cannot be told")
	require.ErrorContains(t, err, fmt.Sprintf("unit of PID %d: ", stranger.Process.Pid))
	named, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(p.PID)+"\n", string(named))
}

// restarting is a service manager whose unit is as in the first of a list, then as
// in the next.
type restarting struct {
	stubborn
	units []service.Unit
}

func (s *restarting) Connect(context.Context, int) (service.Manager, error) { return s, nil }
func (s *restarting) Look(context.Context, string) (service.Unit, error) {
	u := s.units[0]
	if len(s.units) > 1 {
		s.units = s.units[1:]
	}
	return u, nil
}

// Between the end of a process and its next one systemd may still name the first.
func TestRestartedMeanwhile(t *testing.T) {
	ended := exec.Command("true")
	require.NoError(t, ended.Run())
	const unit = "detach-x-0123456789abcdef.service"
	next := startInUnit(t, unit)
	m := &restarting{units: []service.Unit{
		{Active: "active", PID: ended.Process.Pid}, {Active: "activating"}, {Active: "active", PID: next.PID},
	}}
	service.Register(m)
	t.Cleanup(func() { service.Unregister() })
	boot, err := proc.BootID()
	require.NoError(t, err)
	r := Record{Identity: Identity{BootID: boot}, Unit: unit}
	require.NoError(t, r.complete(t.Context(), pendingPatience))
	require.Equal(t, next.PID, r.PID)
}
