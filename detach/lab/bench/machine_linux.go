package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func (b *bench) printMachine() {
	var uts unix.Utsname
	_ = unix.Uname(&uts) // it cannot fail with an address that is good
	fmt.Fprintf(b.out, "%s %s %s, %d cores, %s, %s\n",
		unix.ByteSliceToString(uts.Sysname[:]), unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:]),
		runtime.NumCPU(), field("/proc/cpuinfo", "model name", "unknown processor"), runtime.Version())
	fmt.Fprintf(b.out, "%d interleaved runs of each; medians; × is the ratio to what the column or line says\n", b.runs)
	fmt.Fprintf(b.out, "IDLE is %s\n", idleIs)
}

// field returns a field of a file of /proc with lines "name: value".
func field(path, name, otherwise string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return otherwise
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return otherwise
}

// kibibytes reads a field of a file of /proc such as "MemAvailable: 123 kB".
func kibibytes(path, name string) (n int, ok bool) {
	text, _, _ := strings.Cut(field(path, name, ""), " ")
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// memoryFor tells whether the machine, and the cgroup if it limits, has room
// for a heap of so many GiB and a quarter more.
func memoryFor(gib int) bool {
	if gib > math.MaxInt>>30 { // a 32-bit machine
		return false
	}
	need := gib << 20 / 4 * 5 // KiB
	if available, ok := kibibytes("/proc/meminfo", "MemAvailable"); !ok || available < need {
		return false
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if limit, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && limit>>10 < need {
			return false // else it is "max"
		}
	}
	return true
}
