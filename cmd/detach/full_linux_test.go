package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/lab"
)

// onSmallDisk makes the folder of the attempt a tmpfs with so many free pages
// and inodes.
func (a *attempt) onSmallDisk(pages, inodes int) {
	a.t.Helper()
	lab.Root(a.t)
	size := (1 + pages) * os.Getpagesize() // one is for the filling
	options := fmt.Sprintf("size=%d,nr_inodes=%d,mode=0755", size, 2+inodes)
	if err := unix.Mount("tmpfs", a.dir, "tmpfs", 0, options); err != nil {
		lab.Skip(a.t, "cannot mount a tmpfs: "+err.Error())
	}
	a.t.Cleanup(func() { require.NoError(a.t, unix.Unmount(a.dir, 0)) })
	require.NoError(a.t, os.WriteFile(filepath.Join(a.dir, "filling"), make([]byte, os.Getpagesize()), 0o600))
}

func TestFullDisk(t *testing.T) {
	for name, c := range map[string]struct {
		pages, inodes int
		stderr        string
	}{
		"no inode for the PID file": {pages: 9, inodes: 0, stderr: "detach: create .x.pid.detach-new: no space left on device\n"},
		"no inode for the record":   {pages: 9, inodes: 1, stderr: "detach: create .x.pid.json.detach-new: no space left on device\n"},
		"no inode for the log":      {pages: 9, inodes: 2, stderr: "detach: open x.log: no space left on device\n"},
		"no page for the record":    {pages: 0, inodes: 9, stderr: "detach: write x.pid.json: no space left on device\n"},
		"no page for the PID file":  {pages: 1, inodes: 9, stderr: "detach: write PID file x.pid: no space left on device\n"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(t)
			a.onSmallDisk(c.pages, c.inodes)
			status, stderr := a.run(nil, "-p", "x.pid", "-o", "x.log")
			require.Equal(t, statusFailed, status)
			require.Equal(t, c.stderr, stderr)
			left := []string{"filling"}
			if c.pages == 1 { // it got as far as the log
				left = append(left, "x.log")
			}
			a.requireNothingLeft(left...)
		})
	}
	t.Run("just enough", func(t *testing.T) {
		a := newAttempt(t)
		a.onSmallDisk(2, 3)
		status, stderr := a.run(nil, "-p", "x.pid", "-o", "x.log")
		require.Zero(t, status, stderr)
		require.Equal(t, []int{a.pid("x.pid")}, lab.WithArgument(t, a.mark))
		for _, pid := range lab.WithArgument(t, a.mark) { // it keeps the disk busy
			require.NoError(t, unix.Kill(pid, unix.SIGKILL))
			_, err := unix.Wait4(pid, nil, 0, nil)
			require.NoError(t, err)
		}
	})
}
