package proc

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrOtherNamespace means that the /proc mounted here numbers processes as
// another PID namespace does, see pid_namespaces(7).
var ErrOtherNamespace = errors.New("belongs to another PID namespace")

// Check tells whether /proc can be asked about processes by the PIDs that this
// process sees.
func Check() error {
	var buf [32]byte
	n, err := unix.Readlink("/proc/self", buf[:])
	if err != nil {
		return err
	}
	if string(buf[:n]) != strconv.Itoa(os.Getpid()) {
		return ErrOtherNamespace
	}
	return nil
}

// BootID returns the kernel's random number of this boot, see random(4).
var BootID = sync.OnceValues(func() (string, error) {
	var buf [64]byte
	n, err := readFile("/proc/sys/kernel/random/boot_id", buf[:])
	return strings.TrimSpace(string(buf[:max(n, 0)])), err
})
