//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// containerAttr returns how a process is started as PID 1 of a container: in
// new PID and mount namespaces and, where only that gives the right to these,
// in a new user namespace, in which it is who it was. It finds out by use.
var containerAttr = sync.OnceValues(func() (func() *syscall.SysProcAttr, error) {
	plain := func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	}
	mapped := func() *syscall.SysProcAttr {
		attr := plain()
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		// An exec by others than root drops them, and /proc is to be mounted.
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		return attr
	}
	var err error
	for _, attr := range []func() *syscall.SysProcAttr{plain, mapped} {
		if err = tryContainer(attr()); err == nil {
			return attr, nil
		}
	}
	return nil, err
})

// tryContainer runs a program that does nothing in a container.
func tryContainer(attr *syscall.SysProcAttr) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := withPrelude(self, []string{stepProc + "/proc"}, []string{self, "--version"})
	cmd := exec.Command(self, args[1:]...)
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// lacksContainer says why no container can be made here.
func lacksContainer() string {
	if _, err := containerAttr(); err != nil {
		return fmt.Sprintf("no PID namespace can be made: %v", err)
	}
	return ""
}

// startContainer starts the manager as PID 1 of a container.
func (s *stage) startContainer(cmd *exec.Cmd) error {
	attr, err := containerAttr()
	if err != nil {
		return err
	}
	s.contained = true
	cmd.SysProcAttr = attr()
	return s.start(cmd)
}

// holdInside takes hold of the process in the manager's PID namespace that has
// the identity there.
func (s *stage) holdInside(id identity) (*process, error) {
	namespace, err := pidNamespace(s.manager.pid)
	if err != nil {
		return nil, err
	}
	same, err := processes(func(p stat) bool {
		if p.start != id.start || innermostPID(p.pid) != id.pid {
			return false
		}
		its, err := pidNamespace(p.pid)
		return err == nil && its == namespace
	})
	if err != nil {
		return nil, err
	}
	if len(same) == 0 {
		return nil, fmt.Errorf("identify process %d of %s: %w", id.pid, namespace, unix.ESRCH)
	}
	return hold(same[0].identity)
}

func pidNamespace(pid int) (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
}

// innermostPID returns the PID that a process knows itself by, 0 if that cannot
// be read.
func innermostPID(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	pids := strings.Fields(parseFields(string(data))["NSpid"])
	if len(pids) == 0 {
		return 0
	}
	inner, _ := strconv.Atoi(pids[len(pids)-1])
	return inner
}
