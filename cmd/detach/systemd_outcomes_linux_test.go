package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// outcome is how a start has ended.
type outcome struct {
	Status         int
	Stdout, Stderr string
	Files          []string // the PID file and its record, where they are left
	Runs           bool     // the daemon
	Log            string
}

// outcomes are starts whose ends are the same however the daemon is held. The
// flags and the command are put behind "-p pid".
var outcomes = map[string]struct {
	args   string
	status int
	stderr string
}{
	"started":                     {"-- sleep MARK", 0, ``},
	"not found":                   {"-- no-such-program", 127, `find no-such-program: not found in PATH`},
	"no such file":                {"-- ./none", 127, `find ./none: no such file`},
	"not executable":              {"-- ./data", 126, `find ./data: permission denied`},
	"a directory":                 {"-- ./dir", 126, `find ./dir: is a directory`},
	"no interpreter":              {"-- ./no-interpreter", 126, `exec ./no-interpreter: its interpreter /no/such: no such file`},
	"interpreter not executable":  {"-- ./bad-interpreter", 126, `exec ./bad-interpreter: permission denied`},
	"no dynamic linker":           {"-- ./no-linker", 126, `exec ./no-linker: its interpreter`},
	"no format":                   {"-- ./no-format", 126, `exec ./no-format: exec format error`},
	"another machine":             {"-- ./other-machine", 126, `exec ./other-machine: exec format error`},
	"being written":               {"-- ./busy", 126, `exec ./busy: text file busy`},
	"no directory":                {"-C none -- sleep MARK", 125, `chdir none: no such file`},
	"no log directory":            {"-o none/log -- sleep MARK", 125, `open none/log: no such file`},
	"log is a FIFO":               {"-o fifo -- sleep MARK", 125, `open fifo: is a FIFO`},
	"exits before it is ready":    {"-o log --ready alive=1h -- sh -c 'echo why; exit 3'", 123, `start .*/sh: ended before it was ready: exit status 3\nlog: why\n`},
	"exits with 0":                {"-o log --ready tcp=1 -- sh -c 'exit 0'", 123, `ended before it was ready: exit status 0`},
	"exits with 203":              {"-o log --ready alive=1h -- sh -c 'exit 203'", 123, `ended before it was ready: exit status 203`},
	"fails and exits":             {"-o log --ready alive=1h --fail log=Error -- sh -c 'echo Error; exit 1'", 123, `said that it failed, still waiting for alive=1h0m0s: Error`},
	"killed before it is ready":   {"--ready alive=1h -- sh -c 'kill -9 $$'", 123, `ended before it was ready: killed by SIGKILL`},
	"is ready by the log":         {"-o log --ready log=Done -- sh -c 'echo Done; exec sleep MARK'", 0, ``},
	"fails by the log":            {"-o log --ready log=Done --fail log=Error -- sh -c 'echo Error; exec sleep MARK'", 123, `said that it failed, still waiting for log=Done: Error`},
	"is ready by notification":    {"--ready notify -- NOTIFY READY=1 MARK", 0, ``},
	"fails by notification":       {"--ready notify -- NOTIFY ERRNO=2 MARK", 123, `said that it failed, still waiting for notify: no such file`},
	"is not ready in time":        {"--ready alive=1h --timeout 100ms -- sleep MARK", 124, `not ready in time, still waiting for alive=1h0m0s`},
	"is not ready in time, keeps": {"--ready alive=1h --timeout 100ms --keep -- sleep MARK", 124, `not ready in time`},
	"console":                     {"-o log --console in --ready log=^$ -- sh -c 'echo; read line; exec sleep MARK'", 0, ``},
}

// outcomesOf prints what becomes of all starts of one way.
var _ = lab.Helper("outcomes", func(args []string) error {
	bin, via := args[0], args[1]
	all := map[string]outcome{}
	for name, c := range outcomes {
		o, err := try(bin, via, c.args)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all[name] = o
	}
	return json.NewEncoder(os.Stdout).Encode(all)
})

var number = regexp.MustCompile(`PID \d+|^\d+\n`)

func try(bin, via, line string) (o outcome, err error) {
	dir, err := os.MkdirTemp("/run", "outcome")
	if err != nil {
		return o, err
	}
	closeAll, err := layOut(dir)
	if err != nil {
		return o, err
	}
	defer closeAll()
	mark := lab.Mark()
	notify := `python3 -c 'import os,socket,sys;a=os.environ["NOTIFY_SOCKET"];socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM).sendto(sys.argv[1].encode(),"\0"+a[1:]);os.execvp("sleep",["sleep",sys.argv[2]])'`
	line = strings.NewReplacer("MARK", mark, "NOTIFY", notify).Replace(line)
	cmd := exec.Command("sh", "-c", `"$D" --via "$VIA" -p pid `+line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "D="+bin, "VIA="+via)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return o, err
	}
	o.Status = cmd.ProcessState.ExitCode()
	o.Stdout, o.Stderr = number.ReplaceAllString(stdout.String(), "PID\n"), strings.ReplaceAll(number.ReplaceAllString(stderr.String(), "PID"), mark, "MARK")
	for _, name := range []string{"pid", "pid.json", ".pid.detach-new", ".pid.json.detach-new"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			o.Files = append(o.Files, name)
		}
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	o.Log = string(log)
	status := exec.Command(bin, "status", "pid")
	status.Dir = dir
	o.Runs = status.Run() == nil
	stop := exec.Command(bin, "stop", "-q", "--timeout", "0", "pid")
	stop.Dir = dir
	return o, stop.Run()
}

func layOut(dir string) (closeAll func(), err error) {
	elf, err := os.ReadFile("/bin/sleep")
	if err != nil {
		return nil, err
	}
	other := bytes.Clone(elf)
	other[18], other[19] = 0xff, 0x7f // e_machine
	noLinker := bytes.Replace(elf, []byte("/lib64/ld-linux"), []byte("/lib64/ld-linuy"), 1)
	noLinker = bytes.Replace(noLinker, []byte("/lib/ld-linux"), []byte("/lib/ld-linuy"), 1)
	for name, content := range map[string][]byte{
		"no-interpreter": []byte("#!/no/such\n"), "bad-interpreter": []byte("#!/etc/passwd\n"), "no-format": []byte("neither\n"),
		"other-machine": other, "no-linker": noLinker, "busy": elf,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o644); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		return nil, err
	}
	if err := exec.Command("mkfifo", filepath.Join(dir, "fifo")).Run(); err != nil {
		return nil, err
	}
	busy, err := os.OpenFile(filepath.Join(dir, "busy"), os.O_WRONLY, 0)
	return func() { busy.Close() }, err
}

// Whatever becomes of a start, the status and the words are those of the double
// fork, and what is left as well.
func TestSystemdOutcomes(t *testing.T) {
	lab.Program(t, "python3")
	run := func(via string) map[string]outcome {
		helper := lab.HelperCommand(t, "outcomes", lab.Bin(t, "detach"), via)
		cmd := lab.Systemd(t, helper.Args...)
		cmd.Env, cmd.Dir = helper.Env, "/"
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "%s%s", out, &stderr)
		var all map[string]outcome
		require.NoError(t, json.Unmarshal(out, &all), "%s", out)
		return all
	}
	fork, systemd := run("fork"), run("systemd")
	for name, c := range outcomes {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.status, fork[name].Status, fork[name].Stderr)
			require.Regexp(t, c.stderr, fork[name].Stderr)
			require.Equal(t, c.status == 0 || strings.Contains(name, "keeps"), fork[name].Runs)
			require.Equal(t, fork[name], systemd[name])
		})
	}
}
