//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// testerWord, as the first argument, makes this program the tester. The second
// is the folder for its files, which is there, and the others are those of
// detachtest.
const testerWord = "__tester"

// guard runs the tester and cleans up after it: it adopts what a tester that
// was killed leaves behind, ends it, and removes the folder and what is outside
// of it. The tester for its
// part gets SIGTERM when the guard ends, and cleans up after itself. So whoever
// kills one of the two, even by SIGKILL, leaves nothing behind. The tester is in
// a session of its own, where a signal to the group of the guard does not reach
// it, but those that the guard gets are passed on.
func guard(args []string, stdout, stderr io.Writer) (status int, err error) {
	// Those that are caught here are at their defaults in what is started, even
	// if detachtest was started with them ignored.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, endingSignals...)
	defer signal.Stop(signals)

	base, err := os.MkdirTemp("", "detachtest-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	sweep, err := adoptOrphans()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sweep()) }()

	// The parent-death signal is that of the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// By this path it has a name of its own, and outlives whoever kills all
	// that have that of detachtest.
	tester := exec.Command("/proc/self/exe", slices.Concat([]string{testerWord, base}, args)...)
	tester.Args[0] = os.Args[0]
	tester.Stdout, tester.Stderr = stdout, stderr
	tester.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGTERM}
	if err := tester.Start(); err != nil {
		return 0, fmt.Errorf("start tester: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tester.Wait() }()
	for {
		select {
		case sig := <-signals:
			_ = tester.Process.Signal(sig) // or else it has just ended
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
				return exit.ExitCode(), nil
			}
			if err != nil {
				return 0, errors.Join(fmt.Errorf("the tester ended: %w", err), removeOutside(filepath.Base(base)))
			}
			return 0, nil
		}
	}
}

// endingSignals end detachtest, after it has cleaned up.
var endingSignals = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP}

// beTester is the life of the tester. It leaves nothing behind: no process, and
// no file in the folder.
func beTester(args []string) error {
	base, args := args[0], args[1:]
	runName = filepath.Base(base)
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	status, err := test(o, base, os.Stdout, os.Stderr)
	if err != nil {
		return err
	}
	os.Exit(status)
	return nil // not reached
}
