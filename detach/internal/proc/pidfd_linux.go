package proc

import (
	"bytes"
	"errors"
	"strconv"
)

var errNotPIDFD = errors.New("not the pidfd of a process that exists")

// PIDOf returns the PID of a pidfd of this process, from /proc/self/fdinfo
// (pidfd_open(2)).
func PIDOf(fd int) (int, error) {
	var buf [1024]byte
	n, err := readFile("/proc/self/fdinfo/"+strconv.Itoa(fd), buf[:])
	if err != nil {
		return 0, err
	}
	return ParsePIDFD(buf[:n])
}

// ParsePIDFD parses the content of the fdinfo file of a pidfd.
func ParsePIDFD(info []byte) (int, error) {
	for line := range bytes.Lines(info) {
		if value, ok := bytes.CutPrefix(line, []byte("Pid:")); ok {
			pid, err := strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil || pid <= 0 { // -1 where it has been reaped
				return 0, errNotPIDFD
			}
			return pid, nil
		}
	}
	return 0, errNotPIDFD
}
