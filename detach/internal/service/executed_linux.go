package service

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/detachkit/detach/detach/internal/proc"
)

// IsExecuted tells whether the main process of a unit is what the unit says, and
// not yet what systemd has forked or, since version 255, executed to become it.
func IsExecuted(pid int) bool {
	stat, err := proc.ReadStat(pid)
	if err != nil || stat.Executing() {
		return false
	}
	exe, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe") // of who may not know it is empty
	return filepath.Base(exe) != "systemd-executor"
}
