//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// guestWord, as the first argument, makes this program a guest: it becomes the
// manager that the file after it tells of. It is for managers that somebody
// else has to start, such as systemd, which would pass on neither a socket nor
// the environment, and might read meanings of its own into the command line.
const guestWord = "__guest"

// A guest is what becomes a manager when somebody else starts it.
type guest struct {
	Command []string `json:"command"`
	Environ []string `json:"environ"`
	Dir     string   `json:"dir"`
	Nest    string   `json:"nest"`
	// Talks: it is a manager of detachtest's own, and keeps the connection.
	Talks bool `json:"talks"`
}

// hostsVariables are what a guest keeps of the environment that its host has
// given it. All others it has from the tester.
var hostsVariables = []string{
	"INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "NOTIFY_SOCKET",
	"MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "XDG_SESSION_ID", "XDG_RUNTIME_DIR",
}

// beGuest connects to the tester, which learns by it what process this is, and
// waits for its permission to go on. It does not return if all goes well.
func beGuest(args []string) error {
	var g guest
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &g); err != nil {
		return &os.PathError{Op: "parse", Path: args[0], Err: err}
	}
	out, err := openAbove(filepath.Join(g.Nest, outputFile), unix.O_WRONLY|unix.O_APPEND, 2)
	if err != nil {
		return err
	}
	socket, err := connect(g.Nest)
	if err != nil {
		return err
	}
	if _, err := unix.Read(socket, make([]byte, 1)); err != nil {
		return os.NewSyscallError("read", err)
	}
	// The output first: it may itself have the number of the socket to be.
	copies := []struct{ from, to int }{{out, 1}, {out, 2}}
	if g.Talks {
		copies = append(copies, struct{ from, to int }{socket, managerSocket})
	}
	for _, c := range copies {
		if err := unix.Dup3(c.from, c.to, 0); err != nil {
			return os.NewSyscallError("dup3", err)
		}
	}
	if err := os.Chdir(g.Dir); err != nil {
		return err
	}
	environ := g.Environ
	for _, name := range hostsVariables {
		environ = slices.DeleteFunc(environ, func(line string) bool { return strings.HasPrefix(line, name+"=") })
		if value, ok := os.LookupEnv(name); ok {
			environ = append(environ, name+"="+value)
		}
	}
	return &os.PathError{Op: "exec", Path: g.Command[0], Err: unix.Exec(g.Command[0], g.Command, environ)}
}

// openAbove opens a file with a descriptor beyond that one.
func openAbove(path string, flags, beyond int) (int, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if fd > beyond {
		return fd, nil
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, beyond+1)
}

// connect returns a connection to the socket of a nest. It is beyond the
// descriptors that a guest copies onto.
func connect(nest string) (int, error) {
	dir, err := unix.Open(nest, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: nest, Err: err}
	}
	defer func() { _ = unix.Close(dir) }()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: shortPath(dir, socketFile)}); err != nil {
		return -1, os.NewSyscallError("connect", err)
	}
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, managerSocket+1)
}

// shortPath names a file in an open folder in a way that fits into the 108
// bytes of a socket's address, however long the path of the folder.
func shortPath(dir int, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir, name)
}

// invite makes the manager, not started, a guest, and returns the command line
// that somebody else is to run.
func (s *stage) invite(cmd *exec.Cmd) (command []string, err error) {
	g := guest{
		Command: slices.Concat([]string{cmd.Path}, cmd.Args[1:]),
		Environ: cmd.Environ(),
		Nest:    s.nest.dir,
		Talks:   len(cmd.ExtraFiles) > 0,
	}
	if g.Dir, err = os.Getwd(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(g)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.nest.path(guestFile), data, 0o600); err != nil {
		return nil, err
	}
	if err := s.openDoor(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	return []string{self, guestWord, s.nest.path(guestFile)}, err
}

// openDoor listens on the socket of the nest.
func (s *stage) openDoor() error {
	dir, err := os.Open(s.nest.dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	door, err := net.ListenUnix("unix", &net.UnixAddr{Name: shortPath(int(dir.Fd()), socketFile), Net: "unix"})
	if err != nil {
		return err
	}
	door.SetUnlinkOnClose(false) // it goes with the nest
	s.door = door
	s.later(door.Close)
	return nil
}

// hostTimeout is how long systemd may take to start a service, or a session to
// be opened.
const hostTimeout = 30 * time.Second

// admit waits for the guest and takes hold of it, before it becomes the
// manager. Others that come later, a service that is restarted, are let in too.
func (s *stage) admit(timeout time.Duration) error {
	if err := s.door.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	talk, err := s.door.AcceptUnix()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the manager did not start in %v", timeout)
	}
	if err != nil {
		return err
	}
	s.manager, err = holdPeer(talk)
	if err == nil {
		_, err = talk.Write([]byte{'\n'})
	}
	if err != nil {
		_ = talk.Close()
		return err
	}
	if s.socket != nil {
		_ = s.socket.Close() // it led nowhere
		s.listen(talk)
	} else {
		s.later(talk.Close)
	}
	_ = s.door.SetDeadline(time.Time{})
	go func() {
		var later []net.Conn
		for {
			conn, err := s.door.AcceptUnix()
			if err != nil {
				break // the stage is being torn down
			}
			later = append(later, conn)
			_, _ = conn.Write([]byte{'\n'})
		}
		for _, conn := range later {
			_ = conn.Close()
		}
	}()
	return nil
}

// holdPeer takes hold of the process at the other end, which waits for an
// answer and so cannot have ended unless somebody else saw to it.
func holdPeer(conn *net.UnixConn) (*process, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *unix.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, peerErr); err != nil {
		return nil, fmt.Errorf("identify manager: %w", err)
	}
	st, err := readStat(int(peer.Pid))
	if err != nil {
		return nil, err
	}
	return hold(st.identity)
}
