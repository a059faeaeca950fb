package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// dpkg's start-stop-daemon -b, python-daemon and sevlyar/go-daemon pass the
// caller's umask on, or 0, or cannot be asked for 0.
func TestUmask(t *testing.T) {
	for _, c := range []struct {
		caller, flag string
		daemon       string
		log, pid     os.FileMode
	}{
		{"077", "", "0077", 0o600, 0o600},
		{"000", "", "0022", 0o640, 0o644},
		{"002", "", "0022", 0o640, 0o644},
		{"022", "", "0022", 0o640, 0o644},
		{"027", "", "0027", 0o640, 0o640},
		{"000", "000", "0000", 0o640, 0o644},
		{"077", "0", "0000", 0o600, 0o600},
		{"022", "027", "0027", 0o640, 0o644},
		{"022", "777", "0777", 0o640, 0o644},
	} {
		t.Run(c.caller+" "+c.flag, func(t *testing.T) {
			args := []string{"-p", "pid", "-o", "log", "--console", "fifo"}
			if c.flag != "" {
				args = append(args, "--umask", c.flag)
			}
			cmd := launch(t, hostile(t, "-umask", c.caller), append(args, "--", "sleep", "1000")...)
			daemon, _ := started(t, cmd)
			require.Equal(t, c.daemon, status(t, daemon)["Umask"])
			for name, mode := range map[string]os.FileMode{
				"log": c.log, "pid": c.pid, "pid.json": c.pid, "fifo": 0o600,
			} {
				info, err := os.Stat(filepath.Join(cmd.Dir, name))
				require.NoError(t, err)
				require.Equal(t, mode, info.Mode().Perm(), name)
			}
		})
	}
}

// Go raises the soft limit of its own process (go.dev/issue/46279). A daemon
// that finds a million there may loop over it, or use select(2) beyond 1024.
func TestNOFILE(t *testing.T) {
	var ours syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &ours))
	require.Greater(t, ours.Max, uint64(1025), "no room below the hard limit")
	for _, c := range []struct {
		caller     string
		soft, hard uint64
	}{
		{"1024", 1024, ours.Max},
		{"512:1024", 512, 1024},
		{"1023:1024", 1023, 1024},
		{"1024:1024", 1024, 1024},
	} {
		t.Run(c.caller, func(t *testing.T) {
			daemon, _ := started(t, launch(t, hostile(t, "-nofile", c.caller), "--", "sleep", "1000"))
			soft, hard := lab.NOFILE(t, daemon.PID)
			require.Equal(t, fmt.Sprint(c.soft, c.hard), fmt.Sprint(soft, hard))
		})
	}
}
