package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// said is what a program has written so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *said) await(t *testing.T, text string) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("it has said %q", s)
		}
	}()
	lab.Until(t, text, func() bool { return strings.Contains(s.String(), text) })
}

// sleeper starts a daemon whose logs are written to by the test, which can do
// with them whatever a program can.
func sleeper(t *testing.T, stderr string) (*detach.Process, *lab.Held) {
	t.Helper()
	cmd := detach.Command("sleep", lab.Mark())
	cmd.Dir, cmd.PIDFile, cmd.Stdout, cmd.Stderr = t.TempDir(), "pid", "log", stderr
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p, lab.Hold(t, p.PID)
}

// add appends to a file.
func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString(text)
	require.NoError(t, err)
}

// following runs detach logs -f, behind a prefix.
func following(t *testing.T, prefix []string, p *detach.Process) (*exec.Cmd, *said) {
	t.Helper()
	argv := append(prefix, lab.Bin(t, "detach"), "logs", "-f", p.Record.PIDFile)
	cmd := exec.Command(argv[0], argv[1:]...)
	out := &said{}
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	lab.Hold(t, cmd.Process.Pid)
	return cmd, out
}

// Whatever is done to the log, each line is printed once, and the last ones
// when the daemon has ended.
func TestLogsFollow(t *testing.T) {
	for name, prefix := range map[string]func(*testing.T) []string{
		"inotify": func(*testing.T) []string { return nil },
		"polling": func(t *testing.T) []string { return forbid(t, unix.SYS_INOTIFY_INIT1, 0, 0, 0, unix.EMFILE) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, daemon := sleeper(t, "")
			log := p.Record.Stdout
			add(t, log, strings.Repeat("not of the last\n", 3)+strings.Repeat("old\n", 9)+"first\n")
			cmd, out := following(t, prefix(t), p)
			all := strings.Repeat("old\n", 9)
			expect := func(line string) {
				t.Helper()
				all += line
				out.await(t, line)
			}
			expect("first\n")
			add(t, log, "grown\n")
			expect("grown\n")
			add(t, log, "a prompt> ")
			expect("a prompt> ")

			require.NoError(t, os.Truncate(log, 0))
			add(t, log, "truncated\n")
			expect("truncated\n")

			require.NoError(t, os.Rename(log, log+".1"))
			add(t, log+".1", "to the old one\n")
			expect("to the old one\n")
			require.NoError(t, os.WriteFile(log, nil, 0o600))
			add(t, log+".1", "and again\n")
			expect("and again\n")
			add(t, log, "to the new one\n")
			expect("to the new one\n")

			require.NoError(t, os.WriteFile(log+".new", []byte("another\n"), 0o600))
			require.NoError(t, os.Rename(log+".new", log))
			expect("another\n")

			require.NoError(t, os.Remove(log))
			require.NoError(t, unix.Mkfifo(log, 0o600))
			require.NoError(t, os.Remove(log))
			require.NoError(t, os.Mkdir(log, 0o700))
			require.NoError(t, os.Remove(log))
			add(t, log, "later\n")
			expect("later\n")

			add(t, log, "last, and without an end")
			require.NoError(t, daemon.Signal(unix.SIGTERM))
			require.NoError(t, cmd.Wait(), out)
			require.Equal(t, all+"last, and without an end", out.String())
		})
	}
}

// Lines of two logs do not mix, and one that is never ended is not kept.
func TestLogsFollowTwo(t *testing.T) {
	p, daemon := sleeper(t, "err")
	out, err := p.Record.Stdout, p.Record.Stderr
	cmd, said := following(t, nil, p)
	add(t, out, "half a ")
	add(t, err, "whole\n")
	said.await(t, "err: whole\n")
	add(t, out, "line\n")
	said.await(t, "out: half a line\n")

	long := strings.Repeat("x", longestLine)
	add(t, err, long+"\n"+long+"yz\n\nend\n")
	said.await(t, "err: end\n")
	add(t, err, long+"!")
	said.await(t, "err: end\nerr: "+long+"\n")
	add(t, out, "rest")
	require.NoError(t, daemon.Signal(unix.SIGTERM))
	require.NoError(t, cmd.Wait(), said)
	require.Equal(t, "err: whole\nout: half a line\nerr: "+long+"\nerr: "+long+"\nerr: yz\nerr: \nerr: end\n"+
		"err: "+long+"\nout: rest\nerr: !\n", said.String())
}

// A log that is not there yet is waited for.
func TestLogsFollowLate(t *testing.T) {
	p, daemon := sleeper(t, "")
	require.NoError(t, os.Remove(p.Record.Stdout))
	cmd, said := following(t, nil, p)
	said.await(t, "no such file or directory\n")
	add(t, p.Record.Stdout, "late\n")
	said.await(t, "late\n")
	require.NoError(t, daemon.Signal(unix.SIGTERM))
	require.NoError(t, cmd.Wait(), said)
}

// Bytes are printed as they are, how ever many and wherever the lines end.
func TestLogsBytes(t *testing.T) {
	p, _ := sleeper(t, "")
	content := strings.Repeat("\x00\xff\x1b[31m\r\a", 1<<18) + "\nlast \x1b]0;title\a\xc3"
	add(t, p.Record.Stdout, "before\n"+content)
	out, err := exec.Command(lab.Bin(t, "detach"), "logs", "-n", "2", p.Record.PIDFile).Output()
	require.NoError(t, err)
	require.True(t, content == string(out), "%d bytes, want %d", len(out), len(content))
}

// A reader that has gone ends it, even if there is nothing to print.
func TestLogsReaderGone(t *testing.T) {
	p, daemon := sleeper(t, "")
	add(t, p.Record.Stdout, "first\n")
	cmd := exec.Command(lab.Bin(t, "detach"), "logs", "-f", p.Record.PIDFile)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lab.Hold(t, cmd.Process.Pid)
	_, err = io.ReadFull(out, make([]byte, len("first\n")))
	require.NoError(t, err)
	require.NoError(t, out.Close())
	require.Error(t, cmd.Wait())
	require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
	require.Equal(t, "detach: write standard output: broken pipe\n", stderr.String())
	require.True(t, daemon.Alive())
}

// A signal ends it as it ends tail(1), even while it cannot write.
func TestLogsInterrupted(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM} {
		p, daemon := sleeper(t, "")
		add(t, p.Record.Stdout, strings.Repeat("x", 1<<20))
		cmd := exec.Command(lab.Bin(t, "detach"), "logs", "-f", p.Record.PIDFile)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lab.Hold(t, cmd.Process.Pid)
		_, err = io.ReadFull(out, make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Signal(sig))
		require.EqualError(t, cmd.Wait(), "signal: "+sig.String())
		require.True(t, daemon.Alive())
	}
}

// Whoever waits for a reader of a FIFO that has the log's name waits on.
func TestLogsLeavesFIFOAlone(t *testing.T) {
	p, _ := sleeper(t, "")
	require.NoError(t, os.Remove(p.Record.Stdout))
	require.NoError(t, unix.Mkfifo(p.Record.Stdout, 0o600))
	events, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(events)
	_, err = unix.InotifyAddWatch(events, p.Record.Stdout, unix.IN_OPEN)
	require.NoError(t, err)
	for _, args := range [][]string{{"logs"}, {"logs", "-n", "all"}} {
		cmd := exec.Command(lab.Bin(t, "detach"), append(args, p.Record.PIDFile)...)
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, "detach: logs "+p.Record.Stdout+": is not a regular file\n", string(out))
		require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
	}
	_, err = unix.Read(events, make([]byte, 4096))
	require.ErrorIs(t, err, unix.EAGAIN, "it was opened")
}

// The log of another user is not readable: it is named, and nothing is printed.
func TestLogsOfAnotherUser(t *testing.T) {
	lab.Root(t)
	dir, err := os.MkdirTemp("", "logs")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	cmd := detach.Command("sleep", lab.Mark())
	cmd.Dir, cmd.PIDFile, cmd.Stdout = dir, "pid", "log"
	p, err := cmd.Start(t.Context())
	require.NoError(t, err)
	defer p.Close()
	daemon := lab.Hold(t, p.PID)
	for _, args := range [][]string{{"logs"}, {"logs", "-f"}} {
		logs := exec.Command(lab.Bin(t, "detach"), append(args, p.Record.PIDFile)...)
		logs.Dir = "/"
		logs.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := logs.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, "detach: logs "+p.Record.Stdout+": permission denied\n", string(out))
		require.Equal(t, statusFailed, logs.ProcessState.ExitCode())
	}
	require.True(t, daemon.Alive())
}

// Inotify tells at once what polling would find out.
func TestLogWatch(t *testing.T) {
	for name, change := range map[string]func(log string){
		"append":    func(log string) { add(t, log, "x") },
		"truncate":  func(log string) { require.NoError(t, os.Truncate(log, 0)) },
		"move away": func(log string) { require.NoError(t, os.Rename(log, filepath.Join(t.TempDir(), "elsewhere"))) },
		"replace":   func(log string) { require.NoError(t, os.Rename(log+".new", log)) },
		"create beside": func(log string) { // which may be the log next time
			add(t, log+".1", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			add(t, log, "x")
			add(t, log+".new", "x")
			w := &logWatch{changed: make(chan struct{}, 1), paths: []string{log}, stop: make(chan struct{})}
			w.listen()
			defer w.close()
			change(log)
			lab.Until(t, "it to be told", func() bool { return len(w.changed) > 0 })
		})
	}
}

// The file that has got the name is watched, and the one that had it.
func TestLogWatchRenewed(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	add(t, log, "")
	w := &logWatch{changed: make(chan struct{}, 1), paths: []string{log}, stop: make(chan struct{})}
	w.listen()
	defer w.close()
	watched := func(path string) bool {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(path, &st))
		return strings.Contains(lab.Content(t, fmt.Sprintf("/proc/self/fdinfo/%d", w.inotify.Fd())), fmt.Sprintf(" ino:%x ", st.Ino))
	}
	require.True(t, watched(log))
	require.NoError(t, os.Rename(log, log+".1"))
	add(t, log, "")
	lab.Until(t, "the new file to be watched", func() bool { return watched(log) })
	require.True(t, watched(log+".1"))
}

// Into the log itself each line would be printed for ever, until the disk is
// full.
func TestLogsIntoTheLog(t *testing.T) {
	p, daemon := sleeper(t, "err")
	out, err := p.Record.Stdout, p.Record.Stderr
	add(t, out, "line\n")
	add(t, err, "line\n")
	hard := filepath.Join(t.TempDir(), "hard")
	require.NoError(t, os.Link(err, hard))
	for _, args := range [][]string{{"logs"}, {"logs", "-f"}, {"console"}} {
		for path, named := range map[string]string{out: out, err: err, hard: err} {
			verb := slices.Concat(args, []string{p.Record.PIDFile})
			if args[0] == "console" {
				console, _ := consoleDaemon(t, "sleep", lab.Mark())
				path, named = console.Record.Stdout, console.Record.Stdout
				verb = []string{"console", console.Record.PIDFile}
			}
			before := lab.Content(t, path)
			file, failure := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			require.NoError(t, failure)
			defer file.Close()
			cmd := exec.Command(lab.Bin(t, "detach"), verb...)
			var stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = file, &stderr
			require.NoError(t, cmd.Start())
			lab.Hold(t, cmd.Process.Pid)
			grown := make(chan struct{})
			go func() { // it is ended before the disk is full
				for {
					select {
					case <-grown:
						return
					case <-time.After(10 * time.Millisecond):
					}
					if info, err := file.Stat(); err != nil || info.Size() > 1<<20 {
						_ = cmd.Process.Kill()
						return
					}
				}
			}()
			require.Error(t, cmd.Wait())
			close(grown)
			require.Equal(t, "detach: logs "+named+": input file is output file\n", stderr.String())
			require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
			require.Equal(t, before, lab.Content(t, path))
		}
	}
	require.True(t, daemon.Alive())
}
