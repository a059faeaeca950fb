//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// talker is a server that does what it is told on its console.
const talker = `
echo ready
while read -r line; do
	case $line in
	stop) echo saved; exit ;;
	say*) echo "[Server] ${line#say }" ;;
	*) echo "unknown command: $line" ;;
	esac
done
echo "end of file"
`

func TestScriptOutlivesManager(t *testing.T) {
	m := newManager(t, "--", "sh", "-c", talker)
	testOutlivesManager(t, m, "ready", "saved", func(int) {
		console, err := os.OpenFile(m.file("console.in"), os.O_WRONLY|unix.O_NONBLOCK, 0)
		require.NoError(t, err, "nobody reads the console")
		defer console.Close()
		_, err = io.WriteString(console, "say still here\n")
		require.NoError(t, err)
		lab.Until(t, "the server answers", func() bool {
			return strings.Contains(m.read("logs/console.log"), "[Server] still here\n")
		})
	})
}

func TestGameServerOutlivesManager(t *testing.T) {
	lab.Program(t, "java")
	jar, err := filepath.Abs("../gameserver/build/server.jar")
	require.NoError(t, err)
	if _, err := os.Stat(jar); err != nil {
		lab.Skip(t, "examples/gameserver is not built")
	}
	m := newManager(t, "-jar", jar)
	require.NoError(t, os.WriteFile(m.file("eula.txt"), []byte("eula=true\n"), 0o644))
	require.NoError(t, os.WriteFile(m.file("server.properties"), []byte("server-port=0\n"), 0o644))
	testOutlivesManager(t, m, `Done (`, "All dimensions are saved", func(pid int) {
		_, rest, _ := strings.Cut(m.read("logs/console.log"), "Starting server on *:")
		port, _, _ := strings.Cut(rest, "\n")
		connection, err := net.Dial("tcp", "127.0.0.1:"+port)
		require.NoError(t, err)
		defer connection.Close()
		_, err = fmt.Fprintln(connection, "status")
		require.NoError(t, err)
		line, err := bufio.NewReader(connection).ReadString('\n')
		require.NoError(t, err)
		var status struct{ PID int }
		require.NoError(t, json.Unmarshal([]byte(line), &status), line)
		require.Equal(t, pid, status.PID)
	})
}

// testOutlivesManager shows that a server goes on when its manager is killed,
// and is in the hands of the next one. The server says ready when it has
// started and saved when it is stopped; ask asks it something without the help
// of the manager.
func testOutlivesManager(t *testing.T, m *manager, ready, saved string, ask func(pid int)) {
	require.Equal(t, "stopped", m.show().Status)
	pid := m.startServer()
	m.awaitLog(ready)
	before := m.show()
	require.Equal(t, "running", before.Status)
	require.Equal(t, pid, before.PID)

	status, ok := lab.ReadStatus(pid)
	require.True(t, ok)
	require.NotEqual(t, m.process.Process.Pid, status.Int(t, "PPid"))
	require.NotEqual(t, m.process.Process.Pid, status.Int(t, "NSpgid"))

	m.kill()
	ask(pid)

	// The server holds nothing of the manager's, so the port is free.
	m.start()
	after := m.show()
	require.Equal(t, "running", after.Status)
	require.Equal(t, pid, after.PID)
	require.Equal(t, before.Since, after.Since)

	require.Equal(t, http.StatusOK, m.typeLine("say hello").code)
	m.awaitLog("[Server] hello")

	pidfile, record := m.read("server.pid"), m.read("server.pid.json")
	again := m.call("POST", "/lobby/start", "")
	require.Equal(t, http.StatusConflict, again.code)
	require.Contains(t, again.Error, fmt.Sprintf("already running as PID %d", pid))
	require.Equal(t, pidfile, m.read("server.pid"))
	require.Equal(t, record, m.read("server.pid.json"))
	require.Equal(t, 1, strings.Count(m.read("logs/console.log"), ready), "a second server")
	ask(pid)

	stopped := m.call("POST", "/lobby/stop", "")
	require.Equal(t, http.StatusOK, stopped.code, stopped.Error)
	require.Equal(t, "stop", stopped.EndedBy)
	require.False(t, lab.Alive(pid))
	require.Contains(t, m.read("logs/console.log"), saved)
	end := m.show()
	require.Equal(t, "stopped", end.Status)
	require.Zero(t, end.PID)
	require.NoFileExists(t, m.file("server.pid"))
	require.NoFileExists(t, m.file("server.pid.json"))

	require.NotEqual(t, pid, m.startServer(), "it can be started again")
}

func TestStopBySignal(t *testing.T) {
	for _, test := range []struct{ by, grace, server string }{
		// The time of grace is too long to be waited for.
		{"SIGTERM", "24h", `exec </dev/null; echo ready; exec sleep 1000`},
		{"SIGKILL", "50ms", `trap '' TERM; echo ready; exec sleep 1000`},
	} {
		t.Run(test.by, func(t *testing.T) {
			t.Parallel()
			m := newManager(t, "-grace", test.grace, "--", "sh", "-c", test.server)
			pid := m.startServer()
			m.awaitLog("ready")
			stopped := m.call("POST", "/lobby/stop", "")
			require.Equal(t, http.StatusOK, stopped.code, stopped.Error)
			require.Equal(t, test.by, stopped.EndedBy)
			require.False(t, lab.Alive(pid))
			require.Equal(t, "stopped", m.show().Status)
		})
	}
}

func TestSimultaneousStarts(t *testing.T) {
	m := newManager(t, "--", "sh", "-c", talker)
	const starts = 20
	codes := make(chan int)
	for range starts {
		request := m.request("POST", "/lobby/start", "")
		go func() {
			response, err := client.Do(request)
			if err != nil {
				codes <- 0
				return
			}
			_ = response.Body.Close() // only the code counts
			codes <- response.StatusCode
		}()
	}
	count := map[int]int{}
	for range starts {
		count[<-codes]++
	}
	require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusConflict: starts - 1}, count)
	m.awaitLog("ready")
	require.Equal(t, "ready\n", m.read("logs/console.log"))
}

func TestCommandAtFault(t *testing.T) {
	for _, test := range []struct {
		name    string
		command []string
		want    string
	}{
		{"not found", []string{"no-such-program"}, "find no-such-program: not found in PATH"},
		{"not executable", []string{"/etc/passwd"}, "find /etc/passwd: permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newManager(t, append([]string{"--"}, test.command...)...)
			r := m.call("POST", "/lobby/start", "")
			require.Equal(t, http.StatusUnprocessableEntity, r.code)
			require.Contains(t, r.Error, test.want)
			require.Equal(t, "stopped", m.show().Status)
			require.NoFileExists(t, m.file("server.pid"))
		})
	}
}

func TestList(t *testing.T) {
	m := newManager(t, "--", "sh", "-c", talker)
	require.NoError(t, os.Mkdir(filepath.Join(m.folder, "odd"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(m.folder, "odd", "server.pid"), []byte("not a PID\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(m.folder, "file"), nil, 0o644))
	pid := m.startServer()
	code, data := m.do(m.request("GET", "", ""))
	require.Equal(t, http.StatusOK, code)
	var all []reply
	require.NoError(t, json.Unmarshal(data, &all))
	require.Len(t, all, 2)
	require.Equal(t, reply{Name: "lobby", Status: "running", PID: pid, Since: all[0].Since}, all[0])
	require.False(t, all[0].Since.IsZero())
	require.Equal(t, "unknown", all[1].Status)
	require.Contains(t, all[1].Error, "is not a PID file")
}

func TestUnknownServer(t *testing.T) {
	m := newManager(t)
	for _, name := range []string{"arena", "LOBBY", "lobby%00", "%2e%2e%2f" + filepath.Base(m.folder)} {
		for _, request := range []*http.Request{
			m.request("GET", "/"+name, ""),
			m.request("POST", "/"+name+"/start", ""),
		} {
			code, body := m.do(request)
			require.Equal(t, http.StatusNotFound, code, "%s: %s", request.URL, body)
		}
	}
}

func TestConsole(t *testing.T) {
	m := newManager(t, "--", "sh", "-c", talker)
	require.Equal(t, http.StatusConflict, m.typeLine("say hello").code, "not started")
	m.startServer()
	m.awaitLog("ready")
	for _, line := range []string{"say one\nstop", "say \x00", strings.Repeat("x", maxLine)} {
		require.Equal(t, http.StatusUnprocessableEntity, m.typeLine(line).code, "%.10q", line)
	}
	require.Equal(t, http.StatusUnprocessableEntity, m.call("POST", "/lobby/console", "say hello").code, "no JSON")
	longest := strings.Repeat("x", maxLine-1)
	require.Equal(t, http.StatusOK, m.typeLine(longest).code)
	m.awaitLog("unknown command: " + longest)

	require.Equal(t, http.StatusOK, m.call("POST", "/lobby/stop", "").code)
	require.Equal(t, http.StatusConflict, m.typeLine("say hello").code, "stopped")
	require.Equal(t, http.StatusConflict, m.call("POST", "/lobby/stop", "").code, "stopped")
}

// A server that does not read makes nobody wait for ever.
func TestConsoleThatIsFull(t *testing.T) {
	m := newManager(t, "--", "sleep", "1000")
	m.startServer()
	line := strings.Repeat("x", maxLine-1)
	lab.Until(t, "the FIFO is full", func() bool {
		r := m.typeLine(line)
		if r.code == http.StatusOK {
			return false
		}
		require.Equal(t, http.StatusConflict, r.code)
		require.Contains(t, r.Error, "has stopped reading its console")
		return true
	})
}

func TestLogTail(t *testing.T) {
	m := newManager(t, "--", "sh", "-c", "seq 100000; exec sleep 1000")
	m.startServer()
	m.awaitLog("100000")
	lines := m.show().Log
	require.Len(t, lines, tailRows)
	require.Equal(t, "99981", lines[0])
}

// A process of which no record says that it is the server is not signalled.
func TestProcessWithoutRecord(t *testing.T) {
	m := newManager(t, "--", "sh", "-c", talker)
	pid := m.startServer()
	require.NoError(t, os.Remove(m.file("server.pid.json")))
	r := m.show()
	require.Equal(t, "unverified", r.Status)
	require.Equal(t, pid, r.PID)
	stop := m.call("POST", "/lobby/stop", "")
	require.Equal(t, http.StatusConflict, stop.code)
	require.Contains(t, stop.Error, fmt.Sprintf("process %d is left alone", pid))
	require.True(t, lab.Alive(pid))
	require.Equal(t, http.StatusConflict, m.call("POST", "/lobby/start", "").code)

	require.Equal(t, http.StatusOK, m.typeLine("stop").code)
	lab.Until(t, "the server has ended", func() bool { return m.show().Status == "stopped" })
}

// A page of another site, open in the operator's browser, types nothing.
func TestCrossOriginRequest(t *testing.T) {
	m := newManager(t, "--", "sh", "-c", talker)
	request := m.request("POST", "/lobby/start", "")
	request.Header.Set("Origin", "https://example.com")
	code, _ := m.do(request)
	require.Equal(t, http.StatusForbidden, code)
	require.Equal(t, "stopped", m.show().Status)
}
