package detach

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

const (
	wantStdin  = "/dev/null, a file, or a FIFO that it holds open itself"
	wantOutput = "a file or /dev/null"
)

// stream is an open descriptor of a process.
type stream struct {
	fd                 int
	kind               streamKind
	target             string // what /proc/PID/fd/N links to
	device, inode      uint64
	deleted            bool
	readable, writable bool
	other              string // what the other end of it is called in /proc/PID/fd; empty if that cannot be told
	err                error  // the rest is not known
}

type streamKind int

const (
	streamClosed streamKind = iota
	streamFile
	streamDevice // such as /dev/null
	streamTerminal
	streamPipe
	streamFIFO // one with a name
	streamSocket
)

func (in *inspection) readStreams() {
	for fd := range in.streams {
		s := readStream(in.dir, fd)
		switch s.kind {
		case streamPipe, streamFIFO:
			s.other = s.target
		case streamSocket:
			if peer := peerOf(s.inode); peer != 0 && !in.isJournal(s) {
				s.other = fmt.Sprintf("socket:[%d]", peer)
			}
		}
		in.streams[fd] = s
	}
}

func readStream(dir string, fd int) stream {
	s := stream{fd: fd}
	link := dir + "/fd/" + strconv.Itoa(fd)
	if s.target, s.err = os.Readlink(link); s.err != nil {
		if os.IsNotExist(s.err) {
			s.err = nil // it is closed
		}
		return s
	}
	var st unix.Stat_t
	if s.err = unix.Stat(link, &st); s.err != nil {
		return s
	}
	s.device, s.inode, s.deleted = st.Dev, st.Ino, st.Nlink == 0
	s.kind = kindOfStream(st.Mode, st.Rdev, s.target)
	s.readable, s.writable = directions(link)
	return s
}

func kindOfStream(mode uint32, device uint64, target string) streamKind {
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO:
		if strings.HasPrefix(target, "/") {
			return streamFIFO
		}
		return streamPipe
	case unix.S_IFSOCK:
		return streamSocket
	case unix.S_IFCHR:
		if isTerminalDevice(unix.Major(device)) {
			return streamTerminal
		}
		return streamDevice
	}
	return streamFile
}

// isTerminalDevice knows the terminals of the kernel's admin-guide/devices.txt:
// consoles and serial lines, /dev/tty, pseudo-terminals, and what is plugged in.
func isTerminalDevice(major uint32) bool {
	switch major {
	case 4, 5, 166, 188, 204, 229:
		return true
	}
	return major >= 136 && major <= 143
}

// directions tells how a descriptor was opened: its link has the permissions.
func directions(link string) (readable, writable bool) {
	var st unix.Stat_t
	if unix.Lstat(link, &st) != nil {
		return false, false
	}
	return st.Mode&unix.S_IRUSR != 0, st.Mode&unix.S_IWUSR != 0
}

var streamNames = [...]string{"stdin", "stdout", "stderr"}

// streamWords are the names for a sentence.
var streamWords = [...]string{"standard input", "standard output", "standard error"}

func (in *inspection) checkStream(fd int) Check {
	c := Check{Name: streamNames[fd], Want: wantOutput}
	if fd == 0 {
		c.Want = wantStdin
	}
	s := in.streams[fd]
	if s.err != nil {
		return unknown(c.Name, c.Want, s.err)
	}
	c.OK, c.Got = in.lasts(s)
	return c
}

// lasts tells whether a stream is there for as long as the process, and what it
// is.
func (in *inspection) lasts(s stream) (ok bool, words string) {
	switch s.kind {
	case streamClosed:
		return true, "closed"
	case streamTerminal:
		return false, "terminal " + quoteOdd(s.target)
	case streamFIFO:
		words := "FIFO " + quoteOdd(s.target)
		if s.fd == 0 && s.readable && s.writable {
			return true, words + ", which it holds open itself"
		}
		ok, other := in.otherEnd(s)
		return ok, words + ", " + other
	case streamPipe:
		ok, other := in.otherEnd(s)
		return ok, "pipe, " + other
	case streamSocket:
		if in.isJournal(s) {
			return true, "the journal of systemd"
		}
		if s.other == "" {
			return false, "socket"
		}
		ok, other := in.otherEnd(s)
		return ok, "socket, " + other
	}
	return true, quoteOdd(s.target)
}

// otherEnd says who has the other end of a pipe or a socket. It lasts if that is
// the daemon's own.
func (in *inspection) otherEnd(s stream) (ok bool, words string) {
	does, nobody := "read by ", "which nobody reads"
	if s.fd == 0 {
		does, nobody = "written by ", "which nobody writes"
	}
	if s.kind == streamSocket {
		does, nobody = "connected with ", "connected with nobody"
	}
	var foreign, own []int
	for _, o := range in.openers.of(s.other) {
		if o.pid == in.pid && o.fd == s.fd || s.fd == 0 && !o.writable || s.fd != 0 && !o.readable {
			continue
		}
		list := &foreign
		if in.isOwn(o.pid) {
			list = &own
		}
		if !slices.Contains(*list, o.pid) {
			*list = append(*list, o.pid)
		}
	}
	slices.Sort(foreign)
	slices.Sort(own)
	switch {
	case len(foreign) > 0:
		return false, does + in.nameAll(foreign)
	case len(own) == 1 && own[0] == in.pid:
		return true, does + "itself"
	case len(own) > 0:
		return true, does + in.nameAll(own) + " of its own"
	case in.openers.partial():
		return false, does + "somebody who cannot be seen, or nobody"
	}
	return false, nobody
}

// isJournal tells whether a socket is the one that systemd connects with the
// journal, which outlives the services and its own restart: JOURNAL_STREAM in
// systemd.exec(5).
func (in *inspection) isJournal(s stream) bool {
	value, _ := lookupEnv(in.environ, "JOURNAL_STREAM")
	device, inode, ok := parseJournalStream(value)
	return ok && device == s.device && inode == s.inode
}

func parseJournalStream(value string) (device, inode uint64, ok bool) {
	first, second, found := strings.Cut(value, ":")
	device, err := strconv.ParseUint(first, 10, 64)
	inode, err2 := strconv.ParseUint(second, 10, 64)
	return device, inode, found && err == nil && err2 == nil
}

// opener is a descriptor that a process has open.
type opener struct {
	pid, fd            int
	readable, writable bool
}

// openers are who has the pipes and sockets open that were looked for.
type openers struct {
	byTarget map[string][]opener
	denied   int  // processes that could not be looked into
	cut      bool // there were too many descriptors
}

func (o openers) of(target string) []opener { return o.byTarget[target] }
func (o openers) partial() bool             { return o.denied > 0 || o.cut }

const (
	maxFiles = 1 << 16 // descriptors of the process that are looked at
	maxLinks = 1 << 20 // descriptors of all processes, a second or two of work
)

// readFiles lists the pipes and sockets among the descriptors beyond 2.
func (in *inspection) readFiles() {
	fds, _, err := proc.Numbers(in.dir+"/fd", maxFiles)
	if err != nil {
		in.filesErr = err
		return
	}
	for _, fd := range fds {
		if fd <= 2 {
			continue
		}
		target, err := os.Readlink(in.dir + "/fd/" + strconv.Itoa(fd))
		if errors.Is(err, fs.ErrPermission) {
			in.filesErr = err
			return
		}
		if err != nil {
			continue // closed meanwhile
		}
		in.beyond++
		switch {
		case strings.HasPrefix(target, "pipe:["):
			in.files = append(in.files, stream{fd: fd, kind: streamPipe, target: target})
		case strings.HasPrefix(target, "socket:["):
			in.files = append(in.files, stream{fd: fd, kind: streamSocket, target: target})
		}
	}
}

// findOpeners looks through the descriptors of all processes, if there is
// anything to look for.
func (in *inspection) findOpeners() openers {
	o := openers{byTarget: map[string][]opener{}}
	for _, s := range in.streams {
		if s.other != "" {
			o.byTarget[s.other] = nil
		}
	}
	for _, s := range in.files {
		o.byTarget[s.target] = nil
	}
	if len(o.byTarget) == 0 {
		return o
	}
	left := maxLinks
	for pid, q := range in.byPID {
		switch {
		case pid == in.pid:
			left -= o.lookInto(pid, in.dir, left)
		case q.Flags&forkedByKernel != 0, q.State == 'Z':
		// Whoever looks has what its caller has. A manager is older than its daemon.
		case pid == os.Getpid() && q.Start > in.stat.Start:
		default:
			left -= o.lookInto(pid, procDir(pid), left)
		}
	}
	return o
}

// lookInto notes what a process has open of what is looked for. It returns how
// many descriptors it has looked at, at most limit.
func (o *openers) lookInto(pid int, dir string, limit int) int {
	fds, all, err := proc.Numbers(dir+"/fd", limit)
	denied := errors.Is(err, fs.ErrPermission)
	o.cut = o.cut || err == nil && !all
	var buf [4 << 10]byte // PATH_MAX
	for _, fd := range fds {
		link := dir + "/fd/" + strconv.Itoa(fd)
		n, err := unix.Readlink(link, buf[:])
		if err != nil {
			denied = denied || errors.Is(err, fs.ErrPermission)
			continue
		}
		if list, wanted := o.byTarget[string(buf[:n])]; wanted {
			readable, writable := directions(link)
			o.byTarget[string(buf[:n])] = append(list, opener{pid, fd, readable, writable})
		}
	}
	if denied {
		o.denied++
	}
	return len(fds)
}

// sharedFile is an open descriptor beyond 2 that others have open too.
type sharedFile struct {
	stream
	with []int
}

// sharedFiles are those that look inherited: the process has them in common
// with one that is not its own.
func (in *inspection) sharedFiles() []sharedFile {
	var shared []sharedFile
	for _, s := range in.files {
		var with []int
		for _, o := range in.openers.of(s.target) {
			if !in.isOwn(o.pid) && !in.isSystemd(o.pid) && !slices.Contains(with, o.pid) {
				with = append(with, o.pid)
			}
		}
		if len(with) > 0 {
			slices.Sort(with)
			shared = append(shared, sharedFile{s, with})
		}
	}
	return shared
}

const wantDescriptors = "no pipe or socket of another process beyond 2"

func (in *inspection) checkDescriptors() Check {
	if in.filesErr != nil {
		return unknown("descriptors", wantDescriptors, in.filesErr)
	}
	c := Check{Name: "descriptors", Want: wantDescriptors}
	shared := in.sharedFiles()
	var words []string
	for i, s := range shared {
		if i == maxNamed {
			words = append(words, fmt.Sprintf("%d more", len(shared)-i))
			break
		}
		kind := "pipe"
		if s.kind == streamSocket {
			kind = "socket"
		}
		words = append(words, fmt.Sprintf("%d, a %s also open in %s", s.fd, kind, in.nameAll(s.with)))
	}
	if len(words) > 0 {
		c.Got = strings.Join(words, "; ")
		return c
	}
	c.OK, c.Got = true, "none beyond 2"
	if in.beyond > 0 {
		c.Got = fmt.Sprintf("%d beyond 2, none of another process", in.beyond)
		if len(in.files) > 0 && in.openers.partial() {
			c.Got += " that can be looked into"
		}
	}
	return c
}

// isSystemd tells whether a process is a systemd, which keeps the sockets that
// it passes to its services.
func (in *inspection) isSystemd(pid int) bool {
	return commOf(pid) == "systemd" && (pid == 1 || in.isInit(pid))
}
