package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// buildPrograms makes the two programs that are run: IDLE and the empty one.
func (b *bench) buildPrograms() (err error) {
	b.idle = filepath.Join(b.dir, "idle")
	if image := idleELF(); image != nil {
		err = os.WriteFile(b.idle, image, 0o755)
	} else {
		err = b.buildGo(b.idle, "package main\n\nimport \"time\"\n\nfunc main() { time.Sleep(time.Minute) }\n")
	}
	if err != nil {
		return err
	}
	b.empty = filepath.Join(b.dir, "empty")
	return b.buildGo(b.empty, "package main\n\nfunc main() {}\n")
}

func (b *bench) buildGo(path, source string) error {
	if err := os.WriteFile(path+".go", []byte(source), 0o644); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", path, path+".go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
