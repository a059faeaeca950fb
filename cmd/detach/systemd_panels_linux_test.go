package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

const (
	panelAddress  = "127.0.0.1:8123"
	panelFolder   = "/run/servers" // of the systemd, not of the machine
	panelPatience = time.Minute    // for anything, on a busy machine
	panelMemory   = 256 << 20
)

var panelServers = []string{"creative", "lobby", "survival"}

// The panel is the likeliest to be ended when the memory of its service runs
// out, and no other memory is at stake.
const panelUnit = `[Service]
ExecStart=%s
WorkingDirectory=%s
Environment=PANEL_SERVERS=` + panelFolder + ` DETACH=%s PYTHONDONTWRITEBYTECODE=1
Environment="JAVA_TOOL_OPTIONS=-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx64m"
OOMScoreAdjust=1000
MemoryMax=%d
`

// A panel as a service of systemd. The arguments are detach, the jar of the
// server, a file in the folder in which the panel works, and its command.
var _ = lab.Helper("panel-service", func(args []string) error {
	bin, jar, dir, command := args[0], args[1], filepath.Dir(args[2]), args[3:]
	for _, name := range panelServers {
		folder := filepath.Join(panelFolder, name)
		if err := errors.Join(
			os.MkdirAll(folder, 0o755),
			os.Symlink(jar, filepath.Join(folder, "server.jar")),
			os.WriteFile(filepath.Join(folder, "eula.txt"), []byte("eula=true\n"), 0o644),
			os.WriteFile(filepath.Join(folder, "server.properties"), []byte("server-port=0\n"), 0o644),
		); err != nil {
			return err
		}
	}
	unit := fmt.Sprintf(panelUnit, strings.Join(command, " "), dir, bin, panelMemory)
	if err := os.WriteFile("/run/systemd/system/panel.service", []byte(unit), 0o644); err != nil {
		return err
	}
	s := panelService{}
	if err := errors.Join(systemctl("daemon-reload"), systemctl("start", "panel")); err != nil {
		return err
	}
	if err := s.startServers(); err != nil {
		return err
	}
	for _, event := range []struct {
		name string
		do   func() error
	}{
		{"restart", func() error { return systemctl("restart", "panel") }},
		{"stop", func() error { return systemctl("stop", "panel") }},
		{"kill", func() error { return systemctl("kill", "-s", "KILL", "panel") }},
		{"oom-kill", exhaustPanel},
	} {
		before, err := panelPID()
		if err == nil {
			err = event.do()
		}
		if err == errNoMemoryLimit {
			fmt.Println(event.name, "not enforced")
			continue
		}
		if err == nil {
			err = s.haveSurvived(event.name, before)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", event.name, err)
		}
		fmt.Println(event.name, "survived")
	}
	return nil
})

func systemctl(args ...string) error {
	if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %q: %w: %s", args, err, out)
	}
	return nil
}

func panelPID() (int, error) {
	out, err := exec.Command("systemctl", "show", "-P", "MainPID", "panel").Output()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

// await waits until there is an answer or an error.
func await(what string, done func() (bool, error)) error {
	for deadline := time.Now().Add(panelPatience); ; time.Sleep(20 * time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %s", panelPatience, what)
		}
	}
}

// panelService is what runs: the PID of each server by its name.
type panelService map[string]int

type panelAnswer struct {
	Status string
	PID    int
	Log    []string
}

// ask asks the panel.
func ask(method, path string, body any) (a panelAnswer, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return a, err
	}
	request, err := http.NewRequest(method, "http://"+panelAddress+"/servers/"+path, bytes.NewReader(data))
	if err != nil {
		return a, err
	}
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: panelPatience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return a, fmt.Errorf("%s %s: %s: %s (%v)", method, path, response.Status, text, err)
	}
	return a, json.Unmarshal(text, &a)
}

func awaitPanel() error {
	return await("the panel answers", func() (bool, error) {
		connection, err := net.Dial("tcp", panelAddress)
		if err != nil {
			return false, nil
		}
		return true, connection.Close()
	})
}

func awaitServerLog(name, text string) error {
	return await(fmt.Sprintf("%q in the log of %s", text, name), func() (bool, error) {
		a, err := ask("GET", name, nil)
		return strings.Contains(strings.Join(a.Log, "\n"), text), err
	})
}

func (s panelService) startServers() error {
	if err := awaitPanel(); err != nil {
		return err
	}
	for _, name := range panelServers {
		a, err := ask("POST", name+"/start", nil)
		if err != nil {
			return err
		}
		s[name] = a.PID
	}
	for _, name := range panelServers {
		if err := awaitServerLog(name, "Done ("); err != nil {
			return err
		}
	}
	return nil
}

// haveSurvived waits for the end of the panel, starts it if need be, and looks
// whether each server is alive, adopted again, and reads its console.
func (s panelService) haveSurvived(event string, before int) error {
	err := await("the end of the panel, for systemd", func() (bool, error) {
		pid, err := panelPID()
		return pid != before, err
	})
	if err != nil {
		return err
	}
	// Whatever was to be killed along has been, once the unit is no more.
	err = await("the end of the service", func() (bool, error) {
		state, err := exec.Command("systemctl", "show", "-P", "ActiveState", "panel").Output()
		return string(state) != "deactivating\n", err
	})
	if err != nil {
		return err
	}
	for name, pid := range s {
		if !lab.Alive(pid) {
			return fmt.Errorf("%s, PID %d, has ended with the panel", name, pid)
		}
	}
	if err := systemctl("start", "panel"); err != nil {
		return err
	}
	if err := awaitPanel(); err != nil {
		return err
	}
	for name, pid := range s {
		a, err := ask("GET", name, nil)
		if err != nil {
			return err
		}
		if a.Status != "running" || a.PID != pid {
			return fmt.Errorf("%s is %s, PID %d, and was PID %d", name, a.Status, a.PID, pid)
		}
		if _, err := ask("POST", name+"/console", map[string]string{"line": "say after " + event}); err != nil {
			return err
		}
		if err := awaitServerLog(name, "[Server] after "+event); err != nil {
			return err
		}
	}
	return nil
}

var errNoMemoryLimit = errors.New("no memory limit is enforced here")

// exhaustPanel has the memory of the service run out: a process in its cgroup
// takes all there is, and the kernel ends the panel first.
func exhaustPanel() error {
	var cgroup string
	for dir, file := range map[string]string{
		"/sys/fs/cgroup/memory/system.slice/panel.service": "memory.limit_in_bytes",
		"/sys/fs/cgroup/system.slice/panel.service":        "memory.max",
	} {
		if data, err := os.ReadFile(filepath.Join(dir, file)); err == nil && strings.TrimSpace(string(data)) == strconv.Itoa(panelMemory) {
			cgroup = dir
		}
	}
	if cgroup == "" {
		return errNoMemoryLimit
	}
	// tail(1) keeps the last line, which here has no end.
	eater := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec tail -n1 /dev/zero`, cgroup)
	err := eater.Run()
	if status := eater.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != unix.SIGKILL {
		return fmt.Errorf("the memory has not run out: %w", err)
	}
	return nil
}

// Real panels, as services of systemd, each with three real servers that it has
// started with nothing said of systemd.
func TestSystemdPanels(t *testing.T) {
	command := lab.GameServer(t, t.TempDir())
	jar := command[len(command)-2]
	const python = "python3" // as systemd finds it: Debian's, which has Debian's packages
	panelPy, err := filepath.Abs("../../examples/fastapi-manager/panel.py")
	require.NoError(t, err)
	goManager := lab.Build(t, "examples/go-manager")
	host, port, _ := strings.Cut(panelAddress, ":")
	for name, args := range map[string][]string{
		"go-manager":      {goManager, goManager, "-listen", panelAddress, "-servers", panelFolder},
		"fastapi-manager": {panelPy, python, "-m", "uvicorn", "panel:app", "--host", host, "--port", port},
	} {
		t.Run(name, func(t *testing.T) {
			if args[1] == python && exec.Command("/usr/bin/"+python, "-c", "import fastapi, uvicorn").Run() != nil {
				lab.Skip(t, "python3-fastapi and python3-uvicorn are not installed")
			}
			helper := lab.HelperCommand(t, "panel-service", append([]string{lab.Bin(t, "detach"), jar}, args...)...)
			cmd := lab.Systemd(t, append([]string{"timeout", "300"}, helper.Args...)...)
			cmd.Env, cmd.Dir = helper.Env, "/"
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			for _, event := range []string{"restart", "stop", "kill"} {
				require.Contains(t, string(out), event+" survived\n")
			}
			if strings.Contains(string(out), "oom-kill not enforced") {
				lab.Skip(t, "no memory limit is enforced here")
			}
			require.Contains(t, string(out), "oom-kill survived\n")
		})
	}
}
