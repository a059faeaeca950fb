package detach

import (
	"bytes"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// maxInterpreters is how many scripts may be one another's interpreter
// (exec_binprm in fs/exec.c).
const maxInterpreters = 5

// whyNotExecuted tells, of a program that systemd could not execute, which
// error execve(2) has had: systemd does not pass it on. It is nil if nothing is
// to be seen.
func whyNotExecuted(path string, args, env []string) error {
	const maxArg = 32 * 4096 // MAX_ARG_STRLEN
	total := len(path)
	for _, list := range [][]string{args, env} {
		for _, s := range list {
			if len(s) >= maxArg {
				return unix.E2BIG
			}
			total += len(s) + 1 + 8
		}
	}
	if total > mostArguments() {
		return unix.E2BIG
	}
	for range maxInterpreters {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFREG {
			return unix.EACCES
		}
		if err := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); err != nil {
			return err
		}
		next := shebang(path)
		if next == "" {
			return whyNotLoaded(path)
		}
		path = next
	}
	return unix.ELOOP
}

// mostArguments is how long arguments and environment may be together:
// bprm_stack_limits in fs/exec.c.
func mostArguments() int {
	const least, most = 128 << 10, 6 << 20
	var stack unix.Rlimit
	if unix.Prlimit(0, unix.RLIMIT_STACK, nil, &stack) != nil || stack.Cur/4 > most {
		return most
	}
	return max(int(stack.Cur/4), least)
}

// whyNotLoaded looks at the file itself.
func whyNotLoaded(path string) error {
	interpreter, ok := dynamicLinker(path)
	var st unix.Stat_t
	switch {
	case !ok: // or it may be executed but not read
		return unix.ENOEXEC
	case interpreter != "" && unix.Stat(interpreter, &st) == unix.ENOENT:
		return unix.ENOENT
	case isOpenForWriting(path):
		return unix.ETXTBSY
	}
	if own, err := machine("/proc/self/exe"); err == nil {
		if theirs, err := machine(path); err != nil || theirs != own {
			return unix.ENOEXEC
		}
	}
	return nil
}

// machine returns e_machine of an ELF file, and its class and byte order.
func machine(path string) (m [4]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	var header [20]byte
	_, err = f.ReadAt(header[:], 0)
	return [4]byte{header[4], header[5], header[18], header[19]}, err
}

// dynamicLinker returns the interpreter that an ELF file names, see elf(5); ok
// is false if it is none.
func dynamicLinker(path string) (name string, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	header := make([]byte, 64) // Elf64_Ehdr, the longer one
	if n, _ := f.ReadAt(header, 0); n < 52 || string(header[:4]) != "\x7fELF" {
		return "", false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if header[5] == 2 { // ELFDATA2MSB
		order = binary.BigEndian
	}
	is64 := header[4] == 2 // ELFCLASS64
	table, size, count := int64(order.Uint32(header[28:])), order.Uint16(header[42:]), order.Uint16(header[44:])
	if is64 {
		table, size, count = int64(order.Uint64(header[32:])), order.Uint16(header[54:]), order.Uint16(header[56:])
	}
	const ptInterp = 3
	for i := range int64(count) {
		entry := make([]byte, 56) // Elf64_Phdr
		if n, _ := f.ReadAt(entry, table+i*int64(size)); n < 32 || order.Uint32(entry) != ptInterp {
			continue
		}
		offset, length := int64(order.Uint32(entry[4:])), int64(order.Uint32(entry[16:]))
		if is64 {
			offset, length = int64(order.Uint64(entry[8:])), int64(order.Uint64(entry[32:]))
		}
		text := make([]byte, min(max(length, 0), unix.PathMax))
		n, _ := f.ReadAt(text, offset)
		text, _, _ = bytes.Cut(text[:n], []byte{0})
		return string(text), true
	}
	return "", true
}

// isOpenForWriting tells whether somebody writes to a file: a lease cannot be
// taken of it then, see F_SETLEASE in fcntl(2). It is for its owner and root.
func isOpenForWriting(path string) bool {
	fd, err := openAbove2(path, unix.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	return err == unix.EAGAIN
}
