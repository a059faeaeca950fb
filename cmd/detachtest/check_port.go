//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var checkPort = check{
	name:     "port",
	who:      "Managers that are restarted and cannot listen again (address already in use), because the program has inherited their socket.",
	stagings: []staging{{faults: []string{faultListener}}},
	examine: func(ctx context.Context, s *stage, b *birth) (finding, error) {
		data, err := os.ReadFile(s.nest.path(addressFile))
		if err != nil {
			return finding{}, err
		}
		port, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			return finding{}, err
		}
		inode, err := listeningSocket(port)
		if err != nil {
			return finding{}, err
		}
		target := fmt.Sprintf("socket:[%s]", inode)
		if isOpenIn(b.PID, target) {
			return found(bad, "it holds the manager's listening socket: nobody else can listen on port %d", port), nil
		}
		// A manager of detachtest's own has handed the socket on and not kept
		// it. That of a user has to end first.
		if s.socket == nil {
			if err := s.manager.kill(); err != nil {
				return finding{}, err
			}
		}
		again, err := await(ctx, func() (bool, error) {
			fd, err := listen(&unix.SockaddrInet4{Port: port, Addr: loopback})
			if errors.Is(err, unix.EADDRINUSE) {
				return false, nil
			}
			if err == nil {
				_ = unix.Close(fd)
			}
			return err == nil, err
		})
		switch {
		case err != nil:
			return finding{}, err
		case again:
			return found(good, "port %d can be listened on again", port), nil
		}
		holders, err := processes(func(p stat) bool { return isOpenIn(p.pid, target) })
		if err != nil {
			return finding{}, err
		}
		return found(bad, "nobody can listen on the manager's port %d again: %s", port, describe(holders)), nil
	},
}

// listeningSocket returns the inode of the socket that listens on a port, or
// nothing where nobody does any more.
func listeningSocket(port int) (inode string, err error) {
	data, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		return "", err
	}
	// proc_pid_net(5), TCP: the local address is the second field, the state
	// the fourth, the inode the tenth.
	const local, state, inodeField, listening = 1, 3, 9, "0A"
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) > inodeField && fields[state] == listening && strings.HasSuffix(fields[local], fmt.Sprintf(":%04X", port)) {
			return fields[inodeField], nil
		}
	}
	return "", nil
}

// isOpenIn tells whether a process has a descriptor of the target, as /proc
// names it. One that cannot be read has not.
func isOpenIn(pid int, target string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && link == target {
			return true
		}
	}
	return false
}
