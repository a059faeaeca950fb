package doublefork

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// What runs in a clone calls raw system calls and its own kind, and nothing
// else: looked up in the machine code, since the compiler adds calls of its
// own, such as to the race detector.
func TestClonesCallNothingElse(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the calls are written as on amd64 and arm64")
	}
	const own = "github.com/detachkit/detach/detach/internal/doublefork."
	child := []string{
		"becomeDaemon", "resetDispositions", "setUmask", "placeStdio", "closeListed", "placePIDFile",
		"enterCgroups", "adjustOOMScore", "setLimits", "changeUser", "reportFailure", "writeRecord", "exit", "sys",
	}
	allowed := []string{"syscall.RawSyscall6", "internal/runtime/syscall/linux.Syscall6"}
	// Not reached: an index out of bounds; and a stack that grows before the
	// fork.
	never := []string{"runtime.panicBounds", "runtime.morestack_noctxt.abi0"}
	parent := []string{"forkIntermediate", "rawClone.abi0", "rawCloneOnto.abi0"}
	for _, race := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "race"}[race], func(t *testing.T) {
			build := []string{"test", "-c", "-o", filepath.Join(t.TempDir(), "test")}
			env := append(os.Environ(), "CGO_ENABLED=0")
			if race {
				lab.Program(t, "gcc")
				build, env = append(build, "-race"), append(os.Environ(), "CGO_ENABLED=1")
			}
			cmd := exec.Command("go", append(build, ".")...)
			cmd.Env = env
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			symbols := `^(` + regexp.QuoteMeta(own) + `(` + strings.Join(append(child, parent...), "|") + `)(\.abi0)?|syscall\.RawSyscall6|internal/runtime/syscall/linux\.Syscall6)$`
			code, err := exec.Command("go", "tool", "objdump", "-s", symbols, build[3]).Output()
			require.NoError(t, err)
			seen := map[string]bool{}
			var function string
			for line := range strings.Lines(string(code)) {
				if name, ok := strings.CutPrefix(line, "TEXT "); ok {
					name, _, _ = strings.Cut(name, "(SB)")
					function = strings.TrimPrefix(name, own)
					seen[function] = true
					continue
				}
				called := callee.FindStringSubmatch(line)
				if called == nil || function == "rawCloneOnto.abi0" { // calls what it is given
					continue
				}
				name := strings.TrimPrefix(called[1], own)
				fine := slices.Concat(child, allowed, never)
				if function == "forkIntermediate" {
					fine = slices.Concat(fine, parent, []string{"syscall.runtime_BeforeFork"})
				}
				require.Contains(t, fine, name, "called by %s: %s", function, line)
			}
			for _, name := range slices.Concat(child, parent, allowed) {
				require.True(t, seen[name], "%s is not in the binary", name)
			}
			require.NotContains(t, seen, "becomeDaemon.abi0", "the compiler's wrapper is called by somebody")
		})
	}
}

// callee finds what an instruction calls by name.
var callee = regexp.MustCompile(`\sCALL (\S+)\(SB\)`)
