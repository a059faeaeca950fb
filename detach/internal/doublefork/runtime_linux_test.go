package doublefork

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A linkname is not type-checked: this Go release must declare the functions
// as this package does, without parameters and results.
func TestLinknamesHaveTheRightSignature(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(root)), "src/syscall/exec_linux.go"), nil, 0)
	require.NoError(t, err)
	found := map[string]int{}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
			found[f.Name.Name] = f.Type.Params.NumFields() + f.Type.Results.NumFields()
		}
	}
	for _, name := range []string{"runtime_BeforeFork", "runtime_AfterFork"} {
		require.Contains(t, found, name)
		require.Zero(t, found[name], name)
	}
}
