package proc

import (
	"bytes"
	"errors"
	"strconv"
)

// maxKernelStat is more than /proc/stat is, in bytes: some numbers for each
// CPU and each interrupt.
const maxKernelStat = 4 << 20

var errKernelStat = errors.New("not in the format of proc_stat(5)")

// Forks returns how many processes and threads have been made since the boot,
// in all PID namespaces together.
func Forks() (uint64, error) {
	data, err := Read("/proc/stat", maxKernelStat)
	if err != nil {
		return 0, err
	}
	return ParseForks(data)
}

// ParseForks finds that number in the content of /proc/stat.
func ParseForks(data []byte) (uint64, error) {
	for line := range bytes.Lines(data) {
		if value, ok := bytes.CutPrefix(line, []byte("processes ")); ok {
			n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64)
			if err != nil {
				return 0, errKernelStat
			}
			return n, nil
		}
	}
	return 0, errKernelStat
}

// PIDMax returns the number after the highest PID, see proc_sys_kernel(5).
func PIDMax() (uint64, error) {
	data, err := Read("/proc/sys/kernel/pid_max", 64)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(bytes.TrimSpace(data)), 10, 32)
}
