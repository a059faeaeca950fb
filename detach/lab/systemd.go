package lab

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	Root(t)
	for _, name := range []string{"systemd", "systemd-run", "dbus-daemon", "nsenter", "unshare", "setpriv"} {
		Program(t, name)
	}
	script := filepath.Join(t.TempDir(), "systemd-lab")
	if err := os.WriteFile(script, systemdLab, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{script}
	for _, word := range command {
		// The folder of a folder at the top is the root itself, which would make
		// the boot in there one of this machine.
		if dir := filepath.Dir(word); filepath.IsAbs(word) && dir != "/" {
			if _, err := os.Stat(word); err == nil {
				args = append(args, "-b", dir)
			}
		}
	}
	return exec.Command(Program(t, "bash"), slices.Concat(args, []string{"--"}, command)...)
}
