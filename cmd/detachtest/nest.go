//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A nest is the private directory of one trial, where the probe is hatched and
// leaves its signs of life.
type nest struct {
	dir string
	// bornPipe gets a line when a probe has been born.
	bornPipe *os.File
}

// The files of a nest.
const (
	probeFile  = "probe"  // a script that becomes the probe
	birthFile  = "birth"  // what the probe was born with, JSON
	bornFile   = "born"   // a FIFO: the birth file is there
	beatFile   = "beat"   // how often the probe's heart has beaten
	outputFile = "output" // what the manager wrote
	lockFile   = "lock"   // locked by the manager where it has one
	guestFile  = "guest"  // what becomes the manager where somebody else starts it
	socketFile = "socket" // where that then connects to
	pidFile    = "pid"    // what a launcher wrote where it has {pidfile}
	// acquireFile is there where the probe is to try for a terminal.
	acquireFile = "acquire"
)

// aliveFile lies beside the nests, locked by detachtest for as long as it
// lives: the kernel drops the lock however it ends.
const aliveFile = "alive"

// probeScript becomes the probe. It is a script first because the Go runtime
// changes signal dispositions and RLIMIT_NOFILE before the first line of a Go
// program runs: it hands over what /proc said before. It uses nothing but what
// is built into sh, since the launcher would see another process, and needs no
// arguments, so that it can be started by all that can start a program.
const probeScript = `#!/bin/sh
saved='Closed:'
for fd in 0 1 2; do
	[ -h /proc/self/fd/$fd ] || saved="$saved $fd"
done
saved="$saved
"
save() {
	while IFS= read -r line; do
		case $line in
		Sig*:* | Umask:* | "Max open files"*) saved="$saved$line
" ;;
		esac
	done
}
save </proc/self/status
save </proc/self/limits
exec %s ` + probeWord + ` %s "$saved"
`

// newNest makes a nest in dir, which must not exist.
func newNest(dir string) (*nest, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	n := &nest{dir: dir}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, name := range []string{beatFile, outputFile} {
		if err := os.WriteFile(n.path(name), nil, 0o600); err != nil {
			return nil, err
		}
	}
	script := fmt.Sprintf(probeScript, quote(self), quote(dir))
	// A process forked while the script is open for writing would hold it open
	// until its exec, and the kernel does not run a file that is being written.
	syscall.ForkLock.RLock()
	err = os.WriteFile(n.probe(), []byte(script), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, err
	}
	born := n.path(bornFile)
	if err := unix.Mkfifo(born, 0o600); err != nil {
		return nil, &os.PathError{Op: "mkfifo", Path: born, Err: err}
	}
	// Opened for writing too: without a writer it would report EOF.
	n.bornPipe, err = os.OpenFile(born, os.O_RDWR|unix.O_NONBLOCK, 0)
	return n, err
}

func (n *nest) path(name string) string { return filepath.Join(n.dir, name) }

// probe is the path of the executable file that becomes the probe.
func (n *nest) probe() string { return n.path(probeFile) }

// awaitBirth blocks until a probe is born or the nest is torn down.
func (n *nest) awaitBirth() (*birth, error) {
	if _, err := n.bornPipe.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	return n.readBirth()
}

// readBirth returns the birth of the probe, or nil where none is born.
func (n *nest) readBirth() (*birth, error) {
	data, err := os.ReadFile(n.path(birthFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := &birth{}
	if err := json.Unmarshal(data, b); err != nil {
		return nil, &os.PathError{Op: "parse", Path: n.path(birthFile), Err: err}
	}
	return b, nil
}

// beats returns how often the probe has beaten.
func (n *nest) beats() int {
	count, _ := n.readBeat()
	beats, _ := strconv.Atoi(count) // rubbish before the first beat
	return beats
}

// output names what the probe was writing to when it last wrote.
func (n *nest) output() string {
	_, fd := n.readBeat()
	return map[string]string{"1": "stdout", "2": "stderr"}[fd]
}

// readBeat reads what beat has written.
func (n *nest) readBeat() (count, fd string) {
	data, err := os.ReadFile(n.path(beatFile))
	if err != nil {
		return "", ""
	}
	count, fd, _ = strings.Cut(string(data), "\n")
	return strings.TrimSpace(count), strings.TrimSpace(fd)
}

// beatInterval is how long a probe rests between two beats.
const beatInterval = 20 * time.Millisecond

// tearDown removes the nest. A probe that still lived would end by it.
func (n *nest) tearDown() error {
	if n.bornPipe != nil {
		_ = n.bornPipe.Close()
	}
	return os.RemoveAll(n.dir)
}
