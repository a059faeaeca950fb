package proc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Status is the part of /proc/PID/status that ReadStat does not tell. Field
// names are those of proc_pid_status(5).
type Status struct {
	TGID    int       // Tgid: the PID of the process, which of a thread is another number; or 0
	UID     uint32    // Uid: the real one
	Umask   int       // since Linux 4.7
	NSpid   []int     // its PID here, and in each PID namespace below, inwards
	Blocked SignalSet // SigBlk: of this thread
	Ignored SignalSet // SigIgn
	Caught  SignalSet // SigCgt

	Bounding   uint64 // CapBnd: bit n is capability n
	Effective  uint64 // CapEff
	NoNewPrivs bool   // since Linux 4.10
	Filters    int    // Seccomp_filters, since Linux 5.9; before that 1 if there are any
}

// SignalSet is a set of signals: bit n-1 is signal n.
type SignalSet uint64

// Has tells whether a signal is in the set.
func (s SignalSet) Has(sig unix.Signal) bool {
	return sig > 0 && s&(1<<(sig-1)) != 0
}

var errStatus = errors.New("not in the format of proc_pid_status(5)")

// maxStatus is more than a status file has, in bytes: a process may be in
// 65,536 groups, of ten digits each.
const maxStatus = 1 << 20

// ReadStatus reads the status file of a process or of a thread, in the folder
// dir: /proc/PID or /proc/PID/task/TID. As with ReadStat the answer is about
// whoever has the number.
func ReadStatus(dir string) (Status, error) {
	data, err := Read(dir+"/status", maxStatus)
	if err != nil {
		return Status{}, err
	}
	s, err := ParseStatus(data)
	if err != nil {
		return Status{}, fmt.Errorf("%s/status: %w", dir, err)
	}
	return s, nil
}

// ParseStatus parses the content of a status file. The name of the program is
// its own choice and comes first: of two lines for the same field the last one
// counts, which is the kernel's.
func ParseStatus(data []byte) (Status, error) {
	var s Status
	seen := map[string]bool{}
	mode := 0
	for line := range bytes.Lines(data) {
		key, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			continue
		}
		field, ok := string(key), true
		switch field {
		case "Tgid":
			if pids, valid := parsePIDs(value); valid {
				s.TGID = pids[0]
			}
		case "Uid":
			s.UID, ok = parseID(value)
		case "Umask":
			var mask uint64
			var err error
			mask, err = strconv.ParseUint(string(bytes.TrimSpace(value)), 8, 12)
			s.Umask, ok = int(mask), err == nil
		case "NSpid":
			s.NSpid, ok = parsePIDs(value)
		case "SigBlk":
			s.Blocked, ok = parseSignals(value)
		case "SigIgn":
			s.Ignored, ok = parseSignals(value)
		case "SigCgt":
			s.Caught, ok = parseSignals(value)
		case "CapEff":
			s.Effective, ok = parseSet(value)
		case "CapBnd":
			s.Bounding, ok = parseSet(value)
		case "NoNewPrivs":
			s.NoNewPrivs = string(bytes.TrimSpace(value)) == "1"
		case "Seccomp":
			mode, ok = parseNumber(value)
		case "Seccomp_filters":
			s.Filters, ok = parseNumber(value)
		}
		seen[field] = ok
	}
	// NSpid is missing where the kernel has no PID namespaces.
	if ok, there := seen["NSpid"]; there && !ok {
		return Status{}, errStatus
	}
	if mode != 0 {
		s.Filters = max(s.Filters, 1)
	}
	for _, field := range []string{"Uid", "SigBlk", "SigIgn", "SigCgt"} {
		if !seen[field] {
			return Status{}, errStatus
		}
	}
	return s, nil
}

// parseID parses the first of several numbers.
func parseID(value []byte) (uint32, bool) {
	for field := range bytes.FieldsSeq(value) {
		n, err := strconv.ParseUint(string(field), 10, 32)
		return uint32(n), err == nil
	}
	return 0, false
}

func parsePIDs(value []byte) ([]int, bool) {
	var pids []int
	for field := range bytes.FieldsSeq(value) {
		n, err := strconv.ParseUint(string(field), 10, 31)
		if err != nil {
			return nil, false
		}
		pids = append(pids, int(n))
	}
	return pids, len(pids) > 0
}

func parseSignals(value []byte) (SignalSet, bool) {
	n, ok := parseSet(value)
	return SignalSet(n), ok
}

func parseSet(value []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
	return n, err == nil
}

func parseNumber(value []byte) (int, bool) {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
	return int(n), err == nil
}

// Read reads a file of /proc, at most limit bytes of it, in one go: each read
// of such a file is consistent in itself.
func Read(path string, limit int) ([]byte, error) {
	for size := 4 << 10; ; size *= 4 {
		buf := make([]byte, min(size, limit))
		n, err := readFile(path, buf)
		if err != nil {
			return nil, err
		}
		if n < len(buf) || len(buf) == limit {
			return buf[:n], nil
		}
	}
}

// Numbers returns the numbers that a folder of /proc lists, such as
// /proc/PID/fd, but no more than limit; all tells whether it has them all.
func Numbers(dir string, limit int) (numbers []int, all bool, err error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(fd)
	var names []string
	buf := make([]byte, 8<<10)
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.ReadDirent(fd, buf) })
		if err != nil {
			return nil, false, err
		}
		if n <= 0 {
			return numbers, true, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			number, err := strconv.Atoi(name)
			if err != nil || number < 0 {
				continue
			}
			if len(numbers) == limit {
				return numbers, false, nil
			}
			numbers = append(numbers, number)
		}
	}
}
