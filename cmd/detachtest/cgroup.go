//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The files of a cgroup. See cgroups(7).
const (
	membersFile = "cgroup.procs"
	killFile    = "cgroup.kill"
)

// ownCgroup returns the folder of the cgroup v2 that this process is in,
// wherever the hierarchy is mounted.
func ownCgroup() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	root, ok := mountPoint(string(mounts), "cgroup2")
	path, member := unifiedCgroup(string(own))
	if !ok || !member {
		return "", errors.New("no cgroup v2 is mounted")
	}
	return filepath.Join(root, path), nil
}

// mountPoint finds where the first file system of a type is mounted, in lines
// of /proc/self/mounts. See fstab(5) for the escapes in it.
func mountPoint(mounts, kind string) (path string, ok bool) {
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == kind {
			return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[1]), true
		}
	}
	return "", false
}

// unifiedCgroup finds the path in the v2 hierarchy in lines of
// /proc/PID/cgroup.
func unifiedCgroup(lines string) (path string, ok bool) {
	for line := range strings.Lines(lines) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return path, true
		}
	}
	return "", false
}

// makeCgroup makes a cgroup below that of detachtest.
func makeCgroup() (dir string, err error) {
	own, err := ownCgroup()
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(own, runName+"-")
}

// lacksCgroup says why no cgroup can be made here and entered.
func lacksCgroup() string {
	dir, err := makeCgroup()
	if err != nil {
		return fmt.Sprintf("no cgroup can be made: %v", err)
	}
	defer func() { _ = unix.Rmdir(dir) }()
	// Whoever may write here but not there could make it but not enter it.
	if err := unix.Access(filepath.Join(filepath.Dir(dir), membersFile), unix.W_OK); err != nil {
		return fmt.Sprintf("no cgroup can be entered: write %s: %v", filepath.Join(filepath.Dir(dir), membersFile), err)
	}
	return ""
}

// killCgroup kills all that is in the cgroup and in those below it.
func killCgroup(ctx context.Context, dir string) error {
	err := os.WriteFile(filepath.Join(dir, killFile), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return killMembers(ctx, dir) // before Linux 5.14
	}
	return err
}

// killMembers does what the kernel's cgroup.kill does for those that have none:
// it kills the members again and again, until it has found none, since they
// may fork in the meantime.
func killMembers(ctx context.Context, dir string) error {
	for ctx.Err() == nil {
		members, err := cgroupMembers(dir)
		if err != nil || len(members) == 0 {
			return err
		}
		if err := killAll(members); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// cgroupMembers returns the living processes in the cgroup and below it.
func cgroupMembers(dir string) ([]stat, error) {
	var members []stat
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since
		}
		if err != nil || d.Name() != membersFile {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, word := range strings.Fields(string(data)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				return err
			}
			// One that has ended may have left its PID to a stranger.
			s, err := readStat(pid)
			if err == nil && !s.zombie() && isMember(pid, filepath.Dir(path)) {
				members = append(members, s)
			}
		}
		return nil
	})
	return members, err
}

// isMember tells whether a process is in that very cgroup.
func isMember(pid int, dir string) bool {
	lines, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	path, ok := unifiedCgroup(string(lines))
	return err == nil && ok && filepath.Base(path) == filepath.Base(dir) && strings.HasSuffix(dir, path)
}

// removeCgroup kills what is left in the cgroup and removes it with all that
// were made below it.
func removeCgroup(dir string) error {
	if err := killCgroup(context.Background(), dir); err != nil {
		return err
	}
	for deadline := time.Now().Add(killTimeout); ; time.Sleep(time.Millisecond) {
		err := removeCgroups(dir)
		// A killed process is a member until it is through with its end.
		if err == nil || !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}

// removeCgroups removes empty cgroups from the bottom up. The files in them are
// not for anybody to remove.
func removeCgroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroups(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil {
		return &os.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}
