package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// BinVariable is the environment variable that names the folder with the
// binaries already built; make sets it. Without it they are built on first use.
const BinVariable = "DETACH_TEST_BIN"

const module = "github.com/detachkit/detach/"

var built sync.Map // package path -> func() (string, error)

// Bin returns the path of the built binary of a command of this module, such
// as "detach" or "detachtest".
func Bin(t testing.TB, command string) string {
	t.Helper()
	if dir := os.Getenv(BinVariable); dir != "" {
		return filepath.Join(dir, command)
	}
	return Build(t, "cmd/"+command)
}

// Build compiles a main package of this module, named by its folder, once a
// test process and statically, and returns the path of the binary.
func Build(t testing.TB, folder string) string {
	t.Helper()
	once, _ := built.LoadOrStore(folder, sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "detach-lab-")
		if err != nil {
			return "", err
		}
		// Tests of another user run what is built here too.
		if err := os.Chmod(dir, 0o755); err != nil {
			return "", err
		}
		builtDirs.Store(dir, nil)
		path := filepath.Join(dir, filepath.Base(folder))
		cmd := exec.Command("go", "build", "-o", path, module+folder)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", &buildError{string(out), err}
		}
		return path, nil
	}))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var builtDirs sync.Map

// RemoveBuilt removes what Build made. TestMain calls it at the end.
func RemoveBuilt() {
	builtDirs.Range(func(dir, _ any) bool {
		_ = os.RemoveAll(dir.(string))
		return true
	})
}

type buildError struct {
	output string
	err    error
}

func (e *buildError) Error() string { return "go build: " + e.err.Error() + "\n" + e.output }
func (e *buildError) Unwrap() error { return e.err }
