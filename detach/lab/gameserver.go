package lab

import (
	"os"
	"path/filepath"
	"testing"
)

// GameServer returns the command that runs examples/gameserver, and makes dir a
// folder in which it starts: the agreement is signed, and any free port will do.
func GameServer(t testing.TB, dir string) []string {
	t.Helper()
	java := Program(t, "java")
	jar := filepath.Join(moduleRoot(t), "examples/gameserver/build/server.jar")
	if _, err := os.Stat(jar); err != nil {
		Skip(t, "examples/gameserver is not built: make gameserver")
	}
	for name, content := range map[string]string{"eula.txt": "eula=true\n", "server.properties": "server-port=0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Two cores and little memory are all that a test needs.
	return []string{java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-jar", jar, "nogui"}
}

func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the test")
	return ""
}
