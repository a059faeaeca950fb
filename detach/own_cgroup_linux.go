package detach

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
	"github.com/detachkit/detach/detach/internal/proc"
)

// ownCgroup is the cgroup that a daemon is to be in, in each hierarchy in which
// a manager's may be killed as a whole.
type ownCgroup struct {
	path  string // as in /proc/PID/cgroup
	dirs  []string
	made  []bool // and to be removed again
	asked bool   // for by its path, so that others may enter it too
	procs []int  // descriptors of cgroup.procs
}

// cgroupOf returns the path of the caller's cgroup in a hierarchy: that of
// version 2, or the one of version 1 with a name.
func cgroupOf(content []byte, name string) (string, bool) {
	for line := range strings.Lines(string(content)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && fields[1] == name && (name != "" || fields[0] == "0") {
			return fields[2], true
		}
	}
	return "", false
}

// trackingRoots are where the hierarchies are mounted that the daemon leaves
// its manager in.
func trackingRoots() []string {
	return slices.DeleteFunc(slices.Clone(cgroupRoots()), func(root string) bool { return root == "" })
}

// candidates are where a cgroup of the daemon's own may be, the best one first:
// beside the caller's top-level ancestor, and further down for who may not
// write there, but never in the caller's own.
func candidates(own string) []string {
	var list []string
	for dir := path.Dir(path.Clean(own)); ; dir = path.Dir(dir) {
		list = append(list, dir)
		if dir == "/" || dir == "." {
			break
		}
	}
	slices.Reverse(list)
	return list
}

// spareSuffix is in the name of a cgroup that no PID file leads to, and in no
// other name: a point is in none of the words that they are made of.
const spareSuffix = ".spare"

// ownCgroupName returns the name of the cgroup for a daemon. With a PID file it
// follows from that: the next start with it finds what one that was killed has
// left.
func ownCgroupName(r *Record, file *pidFile) string {
	name := strings.TrimSuffix(unitNameOf(r, file), ".service")
	if file == nil {
		name += spareSuffix
	}
	return name
}

// sweepTries is how often a start may lose its cgroup to others that sweep, of
// which each sweeps once.
const sweepTries = 100

var errSwept = errors.New("the cgroup was removed by somebody else before the daemon was in it")

// bearCgroup forks the program into a cgroup of its own. That one may be swept
// while it is still empty: then there is another try.
func (c *Cmd) bearCgroup(ctx context.Context, h *holding, spec *doublefork.Spec, record *Record, file *pidFile) (daemon doublefork.Process, g *ownCgroup, hazards []Hazard, err error) {
	for range sweepTries {
		daemon, g, hazards, err = c.tryCgroup(ctx, h, spec, record, file)
		if !errors.Is(err, errSwept) {
			break
		}
	}
	return daemon, g, hazards, err
}

// tryCgroup has the cgroup on record first: the kernel may take ten
// milliseconds to let a process enter, in which the caller may be killed.
func (c *Cmd) tryCgroup(ctx context.Context, h *holding, spec *doublefork.Spec, record *Record, file *pidFile) (daemon doublefork.Process, g *ownCgroup, hazards []Hazard, err error) {
	made, err := c.makeCgroup(record, file)
	if err != nil {
		return daemon, nil, nil, err
	}
	defer func() {
		if err != nil {
			err = made.giveUp(err)
		}
	}()
	hazards = h.staysIn(ctx, made)
	if err = c.strictly(hazards); err != nil {
		return daemon, nil, nil, err
	}
	if err = record.noteOwnCgroup(made); err != nil {
		return daemon, nil, nil, err
	}
	if file != nil && made.alone() {
		if err := record.announce(file); err != nil {
			return daemon, nil, nil, err
		}
	}
	spec.Cgroups = made.procs
	if daemon, err = c.bearFork(spec, file); err != nil {
		return daemon, nil, nil, err
	}
	return daemon, made, hazards, nil
}

// makeCgroup makes the cgroup, or takes the one that is asked for. What it has
// made it removes again after an error.
func (c *Cmd) makeCgroup(r *Record, file *pidFile) (_ *ownCgroup, err error) {
	roots := trackingRoots()
	if len(roots) == 0 {
		return nil, &Error{Op: "via", Path: "cgroup", Err: unfitError("no hierarchy of cgroups is mounted that has all processes: version 2, or name=systemd")}
	}
	content, err := proc.Read("/proc/self/cgroup", maxCgroup)
	if err != nil {
		return nil, &Error{Op: "read", Path: "/proc/self/cgroup", Err: err}
	}
	own, ok := cgroupOf(content, "")
	if !ok {
		own, _ = cgroupOf(content, "name=systemd")
	}
	if !inCgroup(roots[0]+own, os.Getpid()) {
		return nil, &Error{Op: "via", Path: "cgroup", Err: unfitError("the caller is not where /proc/self/cgroup says: another cgroup namespace, or a part of the hierarchy, is mounted on " + roots[0])}
	}
	name := ownCgroupName(r, file)
	var paths []string
	if c.Cgroup != "" {
		asked := c.Cgroup
		for _, root := range roots { // as the file system has it
			if below, ok := strings.CutPrefix(asked, root+"/"); ok {
				asked = "/" + below
			}
		}
		const mounted = "/sys/fs/cgroup" // where another hierarchy is, or none
		if asked == mounted || strings.HasPrefix(asked, mounted+"/") {
			return nil, &Error{Op: "cgroup", Path: c.Cgroup, Err: invalidError("is a path in the file system that is not below " + strings.Join(roots, " or ") + "; one within the hierarchy is as in /proc/PID/cgroup")}
		}
		if !path.IsAbs(asked) || len(asked) > maxCgroupPath {
			return nil, &Error{Op: "cgroup", Path: c.Cgroup, Err: invalidError("is not a path as in /proc/PID/cgroup")}
		}
		paths = []string{path.Clean(asked)}
	} else {
		for _, dir := range candidates(own) {
			paths = append(paths, path.Join(dir, name))
		}
	}
	var first error
	for _, p := range paths {
		if c.Cgroup == "" {
			sweep(roots, path.Dir(p))
		}
		var g *ownCgroup
		if g, err = openCgroup(roots, p, c.Cgroup != ""); err == nil {
			if err = c.limitOwn(g); err == nil {
				return g, nil
			}
			return nil, g.giveUp(err)
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.EPERM) {
			return nil, err
		}
	}
	return nil, first
}

// inCgroup tells whether a process is in the cgroup of this folder.
func inCgroup(dir string, pid int) bool {
	return slices.Contains(words(dir+"/cgroup.procs"), strconv.Itoa(pid))
}

// limitOwn sets the limits of a new cgroup. One that there was already is
// somebody else's to limit.
func (c *Cmd) limitOwn(g *ownCgroup) error {
	if !c.Limits.needCgroup() {
		return nil
	}
	root := cgroupMount("cgroup2", "")
	switch {
	case root == "":
		return c.Limits.controlled()[0].missing("of version 2")
	case !g.made[0]:
		return &Error{Op: "limit", Path: g.dirs[0], Err: unfitError("is there already, and its limits are not the daemon's")}
	}
	if err := c.Limits.limitCgroup(g.dirs[0]); err != nil {
		return err
	}
	return c.Limits.comparedWith(usage([]byte("0::" + g.path + "\n")))
}

// sweep removes the cgroups in dir that daemons without a PID file have left
// when they ended, and starts that were killed. The kernel removes none in which
// somebody is; who is about to enter one makes it again.
func sweep(roots []string, dir string) {
	for _, root := range roots {
		entries, _ := os.ReadDir(root + dir)
		for _, entry := range entries {
			if name := entry.Name(); strings.HasPrefix(name, "detach-") && strings.HasSuffix(name, spareSuffix) {
				_ = unix.Rmdir(path.Join(root, dir, name))
			}
		}
	}
}

// openCgroup makes the cgroup in all hierarchies and opens it for a process to
// enter.
func openCgroup(roots []string, p string, asked bool) (_ *ownCgroup, err error) {
	g := &ownCgroup{path: p, asked: asked}
	defer func() {
		if err != nil {
			err = g.giveUp(err)
		}
	}()
	for _, root := range roots {
		dir := root + p
		err := unix.Mkdir(dir, 0o755)
		if err == unix.EEXIST && !asked {
			// Of an earlier daemon, with this name: it goes if it is empty.
			if err = removeTree(dir); err == nil {
				err = unix.Mkdir(dir, 0o755)
			} else if errors.Is(err, unix.EBUSY) {
				err = fmt.Errorf("processes of an earlier daemon are left in it: %w", err)
			}
		}
		if err != nil && !(asked && err == unix.EEXIST) {
			return g, &Error{Op: "create cgroup", Path: dir, Err: err}
		}
		g.dirs, g.made = append(g.dirs, dir), append(g.made, err == nil)
		fd, err := openAbove2(dir+"/cgroup.procs", unix.O_WRONLY, 0)
		if err != nil {
			return g, &Error{Op: "open", Path: dir + "/cgroup.procs", Err: err}
		}
		g.procs = append(g.procs, fd)
	}
	return g, nil
}

// alone tells whether the cgroup is the daemon's alone.
func (g *ownCgroup) alone() bool { return g.made[0] && !g.asked }

// giveUp removes what was made, of a start that has failed because of err. It
// returns that, and errSwept if what was made has gone.
func (g *ownCgroup) giveUp(err error) error {
	for i, dir := range g.dirs {
		if g.made[i] && unix.Access(dir, unix.F_OK) == unix.ENOENT {
			err = fmt.Errorf("%w: %w", err, errSwept)
			break
		}
	}
	g.remove()
	return err
}

// close closes the descriptors. There may be no cgroup.
func (g *ownCgroup) close() {
	if g == nil {
		return
	}
	for _, fd := range g.procs {
		unix.Close(fd)
	}
	g.procs = nil
}

// remove removes what was made, of a start that has failed. There may be no
// cgroup.
func (g *ownCgroup) remove() {
	if g == nil {
		return
	}
	g.close()
	for i, dir := range g.dirs {
		if g.made[i] {
			_ = removeTree(dir)
		}
	}
}

// removeTree removes a cgroup and those below it. What is left is in use.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	for _, entry := range entries {
		if entry.IsDir() {
			_ = removeTree(filepath.Join(dir, entry.Name()))
		}
	}
	err = unix.Rmdir(dir)
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// removeCgroup removes the cgroup that was made for a daemon, once nothing of
// it runs. The kernel may need a moment for the last one.
func (r *Record) removeCgroup(ctx context.Context, patience time.Duration) {
	dir, id := cgroupDir(r.Cgroup)
	if r.Via != ViaCgroup || dir == "" || id != r.CgroupID {
		return
	}
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		busy := false
		for _, root := range trackingRoots() {
			if r.CgroupShared {
				busy = unix.Rmdir(root+r.Cgroup) == unix.EBUSY && len(words(root+r.Cgroup+"/cgroup.procs")) == 0 || busy
			} else {
				busy = removeTree(root+r.Cgroup) == unix.EBUSY || busy
			}
		}
		if !busy || ctx.Err() != nil || time.Now().After(deadline) {
			return
		}
		time.Sleep(pause)
	}
}

// noteOwnCgroup notes the cgroup of a daemon that has one of its own.
func (r *Record) noteOwnCgroup(g *ownCgroup) error {
	if !g.made[0] {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(g.dirs[0], &st); err != nil {
		return &Error{Op: "look at", Path: g.dirs[0], Err: err}
	}
	r.Cgroup, r.CgroupID, r.CgroupShared = g.path, st.Ino, g.asked // as cgroupDir finds it
	return nil
}

// checkCgroup tells whether a process is in its cgroup.
func checkCgroup(pid int, g *ownCgroup) Check {
	c := Check{Name: "cgroup", Want: g.path, Got: "unknown"}
	if content, err := proc.Read(procDir(pid)+"/cgroup", maxCgroup); err == nil {
		own, ok := cgroupOf(content, "")
		if !ok {
			own, _ = cgroupOf(content, "name=systemd")
		}
		c.Got, c.OK = own, own == g.path
	}
	return c
}
