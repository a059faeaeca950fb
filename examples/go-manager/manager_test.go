//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// manager is a real one: a process in a process group of its own, with a folder
// of servers.
type manager struct {
	t       *testing.T
	folder  string // of the servers
	address string
	args    []string
	process *exec.Cmd
	ended   chan struct{} // closed when the process has been waited for
}

// newManager runs a manager with one server, called lobby, and further
// arguments. Nothing is left of either after the test.
func newManager(t *testing.T, args ...string) *manager {
	t.Helper()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	m := &manager{t: t, folder: folder, address: freeAddress(t), args: args}
	require.NoError(t, os.Mkdir(m.file(""), 0o755))
	t.Cleanup(func() { killWorkingIn(t, folder) })
	m.start()
	return m
}

// file returns the path of a file of the server.
func (m *manager) file(name string) string { return filepath.Join(m.folder, "lobby", name) }

func (m *manager) read(name string) string {
	m.t.Helper()
	data, err := os.ReadFile(m.file(name))
	require.NoError(m.t, err)
	return string(data)
}

// start runs the manager and waits until it answers.
func (m *manager) start() {
	m.t.Helper()
	arguments := append([]string{"-listen", m.address, "-servers", m.folder}, m.args...)
	m.process = exec.Command(lab.Build(m.t, "examples/go-manager"), arguments...)
	m.process.Dir = m.folder
	m.process.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	var stderr bytes.Buffer
	m.process.Stderr = &stderr
	require.NoError(m.t, m.process.Start())
	process, ended := m.process, make(chan struct{})
	m.ended = ended
	go func() {
		_ = process.Wait() // killed
		close(ended)
	}()
	lab.Until(m.t, "the manager answers", func() bool {
		select {
		case <-ended:
			m.t.Fatalf("the manager has ended: %s", &stderr)
		default:
		}
		connection, err := net.Dial("tcp", m.address)
		if err == nil {
			require.NoError(m.t, connection.Close())
		}
		return err == nil
	})
}

// kill kills the process group of the manager.
func (m *manager) kill() {
	m.t.Helper()
	require.NoError(m.t, unix.Kill(-m.process.Process.Pid, unix.SIGKILL))
	<-m.ended
}

// client makes a connection of its own for each request.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

// reply is any answer of a manager.
type reply struct {
	code    int
	Name    string
	Status  string
	PID     int
	Since   time.Time
	Log     []string
	EndedBy string `json:"ended_by"`
	Error   string
}

func (m *manager) do(request *http.Request) (int, []byte) {
	m.t.Helper()
	response, err := client.Do(request)
	require.NoError(m.t, err)
	defer response.Body.Close()
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	require.NoError(m.t, err)
	return response.StatusCode, body.Bytes()
}

func (m *manager) request(method, path, body string) *http.Request {
	m.t.Helper()
	request, err := http.NewRequest(method, "http://"+m.address+"/servers"+path, strings.NewReader(body))
	require.NoError(m.t, err)
	return request
}

func (m *manager) call(method, path, body string) reply {
	m.t.Helper()
	code, data := m.do(m.request(method, path, body))
	r := reply{code: code}
	require.NoError(m.t, json.Unmarshal(data, &r), "%s", data)
	return r
}

func (m *manager) show() reply {
	m.t.Helper()
	r := m.call("GET", "/lobby", "")
	require.Equal(m.t, http.StatusOK, r.code, r.Error)
	return r
}

// startServer starts the server and returns its PID.
func (m *manager) startServer() int {
	m.t.Helper()
	r := m.call("POST", "/lobby/start", "")
	require.Equal(m.t, http.StatusOK, r.code, r.Error)
	require.Equal(m.t, fmt.Sprintln(r.PID), m.read(pidFile))
	require.True(m.t, lab.Alive(r.PID))
	return r.PID
}

// typeLine types a line on the console of the server.
func (m *manager) typeLine(line string) reply {
	m.t.Helper()
	body, err := json.Marshal(map[string]string{"line": line})
	require.NoError(m.t, err)
	return m.call("POST", "/lobby/console", string(body))
}

// awaitLog waits until the log that the manager shows has a line that contains
// text, and returns the line.
func (m *manager) awaitLog(text string) (line string) {
	m.t.Helper()
	lab.Until(m.t, fmt.Sprintf("%q in the log", text), func() bool {
		for _, line = range m.show().Log {
			if strings.Contains(line, text) {
				return true
			}
		}
		return false
	})
	return line
}

// freeAddress returns an address whose port the kernel gives to no connection
// while the manager is down.
func freeAddress(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	require.NoError(t, err)
	ephemeral, err := strconv.Atoi(strings.Fields(string(data))[0])
	require.NoError(t, err)
	for {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(max(ephemeral-10000, 10000)))
		if listener, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, listener.Close())
			return address
		}
	}
}

// killWorkingIn kills the processes that work in a folder of this test.
func killWorkingIn(t *testing.T, folder string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, link := range links {
		// Of other users' processes, and of those that have ended, it is not told.
		dir, err := os.Readlink(link)
		if err != nil || dir != folder && !strings.HasPrefix(dir, folder+"/") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		require.NoError(t, err)
		if err := unix.Kill(pid, unix.SIGKILL); err != unix.ESRCH {
			require.NoError(t, err)
		}
		lab.Until(t, "a killed process has ended", func() bool { return !lab.Alive(pid) })
	}
}
