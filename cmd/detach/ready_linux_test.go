package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// startReady starts a daemon in a folder of its own, with a PID file, and waits
// until detach says what has become of it.
func startReady(t *testing.T, dir string, flags []string, command ...string) (status int, stderr string) {
	t.Helper()
	cmd := exec.Command(lab.Bin(t, "detach"), append(append(append([]string{"-p", "pid", "-o", "log"}, flags...), "--"), command...)...)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil {
		pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		require.NoError(t, err)
		lab.Hold(t, pid)
	} else {
		require.NoFileExists(t, filepath.Join(dir, "pid"))
		require.NoFileExists(t, filepath.Join(dir, "pid.json"))
	}
	return cmd.ProcessState.ExitCode(), said.String()
}

// stop ends the daemon of startReady with all that it has started.
func stop(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(lab.Bin(t, "detach"), "stop", "pid")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
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

// Programs that tell of their readiness in each of the ways.
func TestReadyOfRealPrograms(t *testing.T) {
	for name, c := range map[string]func(t *testing.T, dir string) (flags, command []string){
		"redis: notify and tcp": func(t *testing.T, dir string) (flags, command []string) {
			port := freePort(t)
			return []string{"--ready", "notify", "--ready", "tcp=" + port},
				[]string{lab.Program(t, "redis-server"), "--port", port, "--bind", "127.0.0.1", "--supervised", "systemd", "--save", ""}
		},
		"redis: alive and log": func(t *testing.T, dir string) (flags, command []string) {
			port := freePort(t)
			return []string{"--ready", "alive=300ms", "--ready", "log=Ready to accept connections"},
				[]string{lab.Program(t, "redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", ""}
		},
		"nginx: tcp": func(t *testing.T, dir string) (flags, command []string) {
			port := freePort(t)
			conf := fmt.Sprintf(`daemon off; pid %[1]s/nginx.pid; error_log stderr; events {}
http { access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
server { listen %[2]s; listen [::]:%[2]s; } }`, dir, port)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600))
			return []string{"--ready", "tcp=" + port}, []string{lab.Program(t, "nginx"), "-e", "stderr", "-p", dir, "-c", "nginx.conf"}
		},
		"s6-log: fd": func(t *testing.T, dir string) (flags, command []string) {
			return []string{"--console", "in", "--ready", "fd=5"}, []string{lab.Program(t, "s6-log"), "-d", "5", "n3", "./lines"}
		},
		"systemd-notify in a script: notify": func(t *testing.T, dir string) (flags, command []string) {
			lab.Program(t, "systemd-notify")
			return []string{"--ready", "notify"}, []string{"sh", "-c", "systemd-notify --status=loading; systemd-notify --ready; exec sleep " + lab.Mark()}
		},
		"game server: alive": func(t *testing.T, dir string) (flags, command []string) {
			return []string{"--ready", "alive=1s"}, lab.GameServer(t, dir)
		},
		"game server: notify": func(t *testing.T, dir string) (flags, command []string) {
			lab.Program(t, "systemd-notify")
			return []string{"--console", "in", "--ready", "notify", "--fail", "log=cannot be told"}, lab.GameServer(t, dir)
		},
		"game server: fd": func(t *testing.T, dir string) (flags, command []string) {
			command = lab.GameServer(t, dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "server.properties"), []byte("server-port=0\nready-fd=7\n"), 0o600))
			return []string{"--console", "in", "--ready", "fd=7"}, command
		},
		"game server: log and tcp": func(t *testing.T, dir string) (flags, command []string) {
			port := freePort(t)
			command = lab.GameServer(t, dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "server.properties"), []byte("server-port="+port+"\n"), 0o600))
			return []string{"--console", "in", "--ready", `log=Done \(`, "--fail", "log=FAILED TO BIND", "--ready", "tcp=" + port}, command
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			flags, command := c(t, dir)
			status, stderr := startReady(t, dir, flags, command...)
			require.Equal(t, statusStarted, status, stderr)
			stop(t, dir)
		})
	}
}

// The agreement is not signed: the server ends with status 0, and has failed.
func TestReadyOfAServerThatGivesUp(t *testing.T) {
	dir := t.TempDir()
	command := lab.GameServer(t, dir)
	require.NoError(t, os.Remove(filepath.Join(dir, "eula.txt")))
	status, stderr := startReady(t, dir, []string{"--ready", "log=Done"}, command...)
	require.Equal(t, statusExited, status, stderr)
	require.Contains(t, stderr, "ended before it was ready: exit status 0\n")
	require.Regexp(t, `(?m)^log: .*You need to agree to the EULA`, stderr)
}

// The port is an older server's: that one's answer does not count.
func TestReadyOnAPortThatIsHeld(t *testing.T) {
	old, port := t.TempDir(), freePort(t)
	require.NoError(t, os.WriteFile(filepath.Join(old, "index.html"), nil, 0o600))
	status, stderr := startReady(t, old, []string{"--ready", "tcp=" + port}, lab.Program(t, "python3"), "-m", "http.server", port)
	require.Equal(t, statusStarted, status, stderr)
	oldPID := strings.TrimSpace(lab.Content(t, old, "pid"))

	dir := t.TempDir()
	status, stderr = startReady(t, dir, []string{"--ready", "tcp=" + port, "--timeout", "500ms"}, "sleep", lab.Mark())
	require.Equal(t, statusTimeout, status, stderr)
	require.Contains(t, stderr, "port "+port+" is held by PID "+oldPID+" (python3)\n")

	command := lab.GameServer(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "server.properties"), []byte("server-port="+port+"\n"), 0o600))
	status, stderr = startReady(t, dir, []string{"--ready", "tcp=" + port}, command...)
	require.Equal(t, statusExited, status, stderr)
	require.Contains(t, stderr, "FAILED TO BIND")
	stop(t, old)
}

// sd_notify(3) by hand: ERRNO= is a failure, and EXTEND_TIMEOUT_USEC= is in
// microseconds.
func TestReadyByNotifications(t *testing.T) {
	python := lab.Program(t, "python3")
	const notify = `
import os, socket, sys, time
address = os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def notify(text): s.sendto(text.encode(), address)
`
	status, stderr := startReady(t, t.TempDir(), []string{"--ready", "notify"}, python, "-c",
		notify+`notify("STATUS=no world\nERRNO=2"); time.sleep(1000)`)
	require.Equal(t, statusExited, status, stderr)
	require.Contains(t, stderr, "said that it failed, still waiting for notify: no world: no such file or directory\n")

	// The descriptor of a barrier is closed (sd_notify_barrier(3)).
	dir := t.TempDir()
	status, stderr = startReady(t, dir, []string{"--ready", "notify", "--timeout", "20s"}, python, "-c", notify+`
r, w = os.pipe()
s.connect(address)
s.sendmsg([b"BARRIER=1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, w.to_bytes(4, sys.byteorder))])
os.close(w)
os.read(r, 1)
s.send(b"READY=1")
time.sleep(1000)`)
	require.Equal(t, statusStarted, status, stderr)
	stop(t, dir)

	dir = t.TempDir()
	status, stderr = startReady(t, dir, []string{"--ready", "notify", "--timeout", "4s"}, python, "-c",
		notify+`notify("EXTEND_TIMEOUT_USEC=60000000"); time.sleep(5); notify("READY=1"); time.sleep(1000)`)
	require.Equal(t, statusStarted, status, stderr)
	stop(t, dir)

	// It is over long before another one has lived twelve times as long.
	other := exec.Command(lab.Bin(t, "detach"), "-q", "--ready", "alive=60s", "--", "sleep", lab.Mark())
	var otherSaid bytes.Buffer
	other.Stderr = &otherSaid
	require.NoError(t, other.Start())
	longer := lab.Hold(t, other.Process.Pid)
	tooLong, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		_ = other.Wait()
		cancel()
		close(ended)
	}()
	cmd := exec.CommandContext(tooLong, lab.Bin(t, "detach"), "--ready", "notify", "--timeout", "4s", "--", python, "-c",
		notify+`notify("EXTEND_TIMEOUT_USEC=5000000\nSTATUS=loading"); time.sleep(1000)`)
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, statusTimeout, cmd.ProcessState.ExitCode(), "%s", out)
	require.Contains(t, string(out), "still waiting for notify: loading\n")
	require.NoError(t, longer.Signal(unix.SIGTERM)) // it stops what it has started
	<-ended
	require.Contains(t, otherSaid.String(), "given up")
}

// The kernel gives connections to localhost to whoever has ::1, and those to a
// port that several share to any of them: then an answer may be a stranger's.
func TestReadyOnAPortThatIsShared(t *testing.T) {
	python := lab.Program(t, "python3")
	const listen = `
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen()
time.sleep(1000)`
	for name, c := range map[string]struct {
		old, ready string
		want       int
	}{
		"::1, and localhost is asked for":    {"::1", "", statusTimeout},
		"::1, and 127.0.0.1 is asked for":    {"::1", "127.0.0.1:", statusStarted},
		"SO_REUSEPORT":                       {"127.0.0.1", "", statusTimeout},
		"SO_REUSEPORT, by its address":       {"127.0.0.1", "127.0.0.1:", statusTimeout},
		"any, and a more particular is ours": {"0.0.0.0", "127.0.0.1:", statusStarted},
	} {
		t.Run(name, func(t *testing.T) {
			old, dir, port := t.TempDir(), t.TempDir(), freePort(t)
			asked := net.JoinHostPort(c.old, port)
			if c.old == "0.0.0.0" {
				asked = port
			}
			status, stderr := startReady(t, old, []string{"--ready", "tcp=" + asked}, python, "-c", listen, c.old, port)
			require.Equal(t, statusStarted, status, stderr)
			oldPID := strings.TrimSpace(lab.Content(t, old, "pid"))
			flags := []string{"--ready", "tcp=" + c.ready + port}
			if c.want == statusTimeout {
				flags = append(flags, "--timeout", "1s")
			}
			status, stderr = startReady(t, dir, flags, python, "-c", listen, "127.0.0.1", port)
			require.Equal(t, c.want, status, stderr)
			if c.want == statusTimeout {
				require.Contains(t, stderr, "port "+port+" is held by PID "+oldPID+" (python3")
			} else {
				stop(t, dir)
			}
			stop(t, old)
		})
	}
}

// Whoever ends detach while it waits ends what it has started.
func TestInterruptedWhileItWaits(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(lab.Bin(t, "detach"), "-p", "pid", "-o", "log", "--ready", "log=never", "--", "sh", "-c", "echo up; exec sleep "+lab.Mark())
			cmd.Dir = dir
			var said bytes.Buffer
			cmd.Stderr = &said
			require.NoError(t, cmd.Start())
			lab.Until(t, "the daemon", func() bool { return lab.Contains(filepath.Join(dir, "log"), "up") })
			lab.Until(t, "its record", func() bool { return lab.Contains(filepath.Join(dir, "pid.json"), "waiting") })
			pid, err := strconv.Atoi(strings.TrimSpace(lab.Content(t, dir, "pid")))
			require.NoError(t, err)
			daemon := lab.Hold(t, pid)

			out, err := exec.Command(lab.Bin(t, "detach"), "status", filepath.Join(dir, "pid")).Output()
			require.NoError(t, err)
			require.Regexp(t, `(?m)^state +starting$`, string(out))

			require.NoError(t, cmd.Process.Signal(sig))
			require.Error(t, cmd.Wait())
			require.Equal(t, statusFailed, cmd.ProcessState.ExitCode())
			require.Contains(t, said.String(), "given up, still waiting for log=never")
			require.False(t, daemon.Alive())
			require.NoFileExists(t, filepath.Join(dir, "pid"))
		})
	}
}

// With SIGKILL nobody can: it goes on, and its status tells.
func TestKilledWhileItWaits(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(lab.Bin(t, "detach"), "-p", "pid", "--ready", "alive=1h", "--", "sleep", lab.Mark())
	cmd.Dir = dir
	require.NoError(t, cmd.Start())
	lab.Until(t, "its record", func() bool { return lab.Contains(filepath.Join(dir, "pid.json"), "waiting") })
	pid, err := strconv.Atoi(strings.TrimSpace(lab.Content(t, dir, "pid")))
	require.NoError(t, err)
	lab.Hold(t, pid)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	out, err := exec.Command(lab.Bin(t, "detach"), "status", filepath.Join(dir, "pid")).Output()
	require.NoError(t, err)
	require.Regexp(t, `(?m)^state +running$`, string(out))
	require.Regexp(t, `(?m)^note +whoever started it ended before it was ready$`, string(out))
	stop(t, dir)
}

// On a terminal it tells what it waits for, and takes that away again.
func TestReadyOnATerminal(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(lab.Bin(t, "detach"), "-p", "pid", "--ready", "alive=700ms", "--", "sleep", lab.Mark())
	cmd.Dir = dir
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 36})
	require.NoError(t, err)
	defer terminal.Close()
	var said bytes.Buffer
	_, _ = said.ReadFrom(terminal) // EIO at the end
	require.NoError(t, cmd.Wait())
	require.Regexp(t, `\x1b\[KPID \d+: waiting for alive=7`, said.String())
	progress := said.String()[:strings.LastIndex(said.String(), "\x1b[K")]
	for line := range strings.SplitSeq(progress, "\x1b[K") {
		require.Less(t, len(strings.TrimSuffix(line, "\r")), 36, "%q", line)
	}
	require.Regexp(t, `\x1b\[K(.*\n)*\d+\r\n$`, said.String(), "the PID is on a line of its own")
	stop(t, dir)
}
