package lab

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// AwaitContent waits until a file is as long as want, and is then to be it.
func AwaitContent(t testing.TB, want string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	var got []byte
	Until(t, fmt.Sprintf("%q in %s", want, name), func() bool {
		got, _ = os.ReadFile(name)
		return len(got) >= len(want)
	})
	if string(got) != want {
		t.Fatalf("%s has %q, want %q", name, got, want)
	}
}

// AwaitDescriptors waits until a daemon has descriptors 0, 1 and 2 with these
// targets and no others. A moment is given it: the dynamic linker opens
// libraries, and execve(2) lets the caller of vfork(2) go on before it closes
// what is close-on-exec.
func AwaitDescriptors(t testing.TB, pid int, targets [3]string) {
	t.Helper()
	want := map[int]string{0: targets[0], 1: targets[1], 2: targets[2]}
	var got map[int]string
	defer func() {
		if t.Failed() {
			t.Logf("it has %v", got)
		}
	}()
	Until(t, fmt.Sprintf("descriptors %v", want), func() bool {
		got = Descriptors(t, pid)
		return maps.Equal(want, got)
	})
}

func callers(fd int) string { return fmt.Sprintf("caller-%d", fd) }

// GiveFiles gives a command empty files in its folder for 0, 1 and 2, so that
// nothing written to one of them is lost.
func GiveFiles(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var files [3]*os.File
	for fd := range files {
		f, err := os.OpenFile(filepath.Join(cmd.Dir, callers(fd)), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files[fd] = f
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
}

// RequireStdio checks what a daemon has for 0, 1 and 2, and that "out" and
// "err", which it has written to 1 and 2, are there and nowhere else. Its caller
// had the files of GiveFiles in dir, and closed some of them.
//
// Each target is a file in dir, /dev/null, or empty for what the caller has.
func RequireStdio(t testing.TB, pid int, dir string, closed []int, targets [3]string) {
	t.Helper()
	content := map[string]string{callers(0): "", callers(1): "", callers(2): ""}
	for fd, written := range []string{0: "", 1: "out\n", 2: "err\n"} {
		if targets[fd] == "" {
			targets[fd] = callers(fd)
			if slices.Contains(closed, fd) {
				targets[fd] = os.DevNull
			}
		}
		if targets[fd] == os.DevNull {
			continue
		}
		if fd > 0 {
			content[targets[fd]] += written
		}
		targets[fd] = filepath.Join(dir, targets[fd])
	}
	for name, want := range content {
		AwaitContent(t, want, dir, name)
	}
	AwaitDescriptors(t, pid, targets)
}

// Closings are the ways to have some of 0, 1 and 2 closed.
var Closings = [][]int{{}, {0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}}
