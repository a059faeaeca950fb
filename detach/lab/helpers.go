package lab

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
)

// helperVariable makes a test binary be one of its helpers instead of running
// its tests. The helper itself finds neither it nor the next one in its
// environment.
const helperVariable = "DETACH_LAB_HELPER"

// raceVariable has the options of the race detector, which otherwise sleeps for
// a second at the end of each helper.
const raceVariable = "GORACE"

// HelperFunc is a program that a test needs as a process of its own. Its
// arguments are those given to HelperCommand.
type HelperFunc func(args []string) error

var (
	helpers     = map[string]HelperFunc{}
	usedHelpers sync.Map
)

// Helper registers a helper, beside the test that uses it:
//
//	var _ = lab.Helper("manager", func(args []string) error { ... })
func Helper(name string, run HelperFunc) HelperFunc {
	if helpers[name] != nil {
		panic("two helpers of the name " + name)
	}
	helpers[name] = run
	return run
}

// HelperCommand returns a command that runs a helper.
func HelperCommand(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	if helpers[name] == nil {
		t.Fatalf("no helper of the name %s", name)
	}
	usedHelpers.Store(name, nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), helperVariable+"="+name, raceVariable+"=halt_on_error=1 atexit_sleep_ms=0")
	return cmd
}

// Main is the TestMain of every package with helpers. A helper that no test
// has used is a mistake, as in package os/exec, where all tests have run.
func Main(m *testing.M) {
	if name, ok := os.LookupEnv(helperVariable); ok {
		os.Unsetenv(helperVariable)
		os.Unsetenv(raceVariable)
		if err := helpers[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	DefaultSignals()
	status := m.Run()
	RemoveBuilt()
	if status == 0 && wholeRun() {
		for _, name := range slices.Sorted(maps.Keys(helpers)) {
			if _, used := usedHelpers.Load(name); !used {
				fmt.Fprintln(os.Stderr, "no test has used the helper", name)
				status = 1
			}
		}
	}
	os.Exit(status)
}

func wholeRun() bool {
	if os.Getenv(RequireVariable) != "all" || testing.Short() {
		return false
	}
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}
