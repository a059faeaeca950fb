package lab

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

//go:embed systemd-lab
var systemdLab []byte

// Systemd returns a command that runs another one as a service of a systemd of
// its own: PID 1 of private namespaces, on a throw-away copy of the root file
// system in which only the folders of the files that the command names by
// absolute paths are the real ones. It starts in the folder of the test, has
// its environment, passes on its standard input and output, and exits with its
// status. There is no network.
func Systemd(t testing.TB, command ...string) *exec.Cmd {
	t.Helper()
	return systemd(t, "hybrid", command)
}

// UnifiedSystemd is Systemd on cgroup version 2 alone, where users have a
// systemd too.
func UnifiedSystemd(t testing.TB, command ...string) *exec.Cmd {
	t.Helper()
	return systemd(t, "unified", command)
}

//go:embed systemd-lab-uml
var systemdLabUML []byte

// UMLSystemd is UnifiedSystemd in a kernel of its own, User-Mode Linux, which
// has all controllers of cgroup version 2 whatever the machine has. It takes some
// ten seconds to boot, has one CPU, and a fork takes it some 30 ms. Where it does
// not come to the command, as happens, the status is NotBooted.
func UMLSystemd(t testing.TB, command ...string) *exec.Cmd {
	t.Helper()
	Root(t)
	for _, name := range []string{"linux.uml", "systemd", "dbus-daemon", "unshare", "setpriv", "perl"} {
		Program(t, name)
	}
	script := filepath.Join(t.TempDir(), "systemd-lab-uml")
	if err := os.WriteFile(script, systemdLabUML, 0o700); err != nil {
		t.Fatal(err)
	}
	return exec.Command(Program(t, "timeout"), slices.Concat([]string{"300", Program(t, "bash"), script, "--"}, command)...)
}

// NotBooted tells whether it was User-Mode Linux that failed, or did not end,
// and not the command.
func NotBooted(status int) bool { return status == 70 || status == 124 }

func systemd(t testing.TB, mode string, command []string) *exec.Cmd {
	t.Helper()
	Root(t)
	for _, name := range []string{"systemd", "systemd-run", "dbus-daemon", "nsenter", "unshare", "setpriv"} {
		Program(t, name)
	}
	script := filepath.Join(t.TempDir(), "systemd-lab")
	if err := os.WriteFile(script, systemdLab, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{script, "-m", mode}
	for _, word := range command {
		dir := filepath.Dir(word)
		if _, err := os.Stat(word); err != nil || !filepath.IsAbs(word) || dir == "/" {
			continue // the folder of a folder at the top is the root itself
		}
		// The boot in there would be one of this machine.
		if !strings.Contains(dir[1:], "/") {
			t.Fatalf("%s would have %s, not a copy, be the systemd's: name files in folders of the test", word, dir)
		}
		args = append(args, "-b", dir)
	}
	return exec.Command(Program(t, "bash"), slices.Concat(args, []string{"--"}, command)...)
}
