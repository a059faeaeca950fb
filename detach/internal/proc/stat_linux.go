package proc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// Stat is the part of /proc/PID/stat that says how a process is attached to
// others, and what it uses. Field numbers are those of proc_pid_stat(5).
type Stat struct {
	State   byte   // (3) 'R', 'S', 'D', 'Z', ...
	Parent  int    // (4) PID
	Group   int    // (5) process group
	Session int    // (6)
	TTY     int    // (7) device number of the controlling terminal, 0 for none
	Flags   uint   // (9) PF_*, see include/linux/sched.h
	User    uint64 // (14) CPU time in user mode, clock ticks
	System  uint64 // (15) CPU time in kernel mode, clock ticks
	Threads int    // (20)
	Start   uint64 // (22) clock ticks after boot
	RSS     int64  // (24) resident set, pages
	Code    uint64 // (26) address of the program's code, 1 where the kernel hides addresses
	EnvEnd  uint64 // (51) address of the end of its environment
	Exit    int    // (52) of a zombie: wait status, 0 where the kernel hides it
}

// forkedNoExec is PF_FORKNOEXEC: set by fork, cleared by execve.
const forkedNoExec = 0x40

// Execed tells whether the process has called execve since it was forked.
func (s Stat) Execed() bool { return s.Flags&forkedNoExec == 0 }

// Executing tells whether an execve is not through yet: the kernel says where the
// arguments and the environment are when it has loaded the program
// (create_elf_tables in fs/binfmt_elf.c). Until then a program that cannot be
// loaded may still end the process. Of a process whose addresses are hidden it
// is false, and of one whose first thread has ended.
func (s Stat) Executing() bool {
	return !s.Execed() || s.EnvEnd == 0 && s.Code != 1 && s.State != 'Z' && s.State != 'X'
}

// ReadStat reads /proc/PID/stat. The error is ENOENT or ESRCH where there is
// no such process, and ENOENT too where hidepid= hides it.
//
// The answer is about whoever has the PID: to know that it was the right
// process, look at its pidfd afterwards.
func ReadStat(pid int) (Stat, error) {
	var buf [1024]byte // comm has at most 64 bytes, and there are 52 numbers
	n, err := readFile("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if err != nil {
		return Stat{}, err
	}
	s, err := ParseStat(buf[:n])
	if err != nil {
		return Stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return s, nil
}

var errStat = errors.New("not in the format of proc_pid_stat(5)")

// ParseStat parses the content of a stat file. The second field is the
// program's own choice and may hold anything, spaces and parentheses included,
// but it ends at the last ")".
func ParseStat(data []byte) (Stat, error) {
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return Stat{}, errStat
	}
	fields := bytes.Fields(data[end+1:]) // the first one is number 3
	if len(fields) < 50 || len(fields[0]) != 1 {
		return Stat{}, errStat
	}
	s := Stat{State: fields[0][0]}
	for _, f := range []struct {
		number int
		to     *int
	}{{4, &s.Parent}, {5, &s.Group}, {6, &s.Session}, {7, &s.TTY}, {20, &s.Threads}, {52, &s.Exit}} {
		n, err := strconv.Atoi(string(fields[f.number-3]))
		if err != nil {
			return Stat{}, errStat
		}
		*f.to = n
	}
	flags, err := strconv.ParseUint(string(fields[9-3]), 10, 32)
	if err != nil {
		return Stat{}, errStat
	}
	s.Flags = uint(flags)
	if s.RSS, err = strconv.ParseInt(string(fields[24-3]), 10, 64); err != nil {
		return Stat{}, errStat
	}
	for _, f := range []struct {
		number int
		to     *uint64
	}{{14, &s.User}, {15, &s.System}, {22, &s.Start}, {26, &s.Code}, {51, &s.EnvEnd}} {
		if *f.to, err = strconv.ParseUint(string(fields[f.number-3]), 10, 64); err != nil {
			return Stat{}, errStat
		}
	}
	return s, nil
}

// readFile reads a small file of /proc in one go, without the poller that
// os.ReadFile sets up. Each read of such a file is consistent in itself.
func readFile(path string, buf []byte) (int, error) {
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return ignoringEINTR(func() (int, error) { return unix.Read(fd, buf) })
}

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
