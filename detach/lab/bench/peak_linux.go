package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
)

// peak returns the median of a launcher's peak memory in KiB, 0 if it cannot
// be told.
func (b *bench) peak(ctx context.Context, l launcher) (int, error) {
	var peaks []int
	for range b.peaks {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		kib, err := peakOf(l.argv)
		if err != nil {
			return 0, err
		}
		if kib > 0 {
			peaks = append(peaks, kib)
		}
		if !l.nothing {
			if _, err := b.endStarted(); err != nil {
				return 0, err
			}
		}
	}
	if len(peaks) == 0 {
		return 0, nil
	}
	slices.Sort(peaks)
	return peaks[len(peaks)/2], nil
}

// peakOf runs a command under ptrace(2), stops it when it exits and reads the
// high-water mark of its memory. The ru_maxrss of wait4(2) does not do: over
// an exec it keeps that of the process that forked, which is this one, larger
// than any launcher. It returns 0 if the kernel did not stop the first thread,
// as is so when another one ends the process.
func peakOf(argv []string) (kib int, err error) {
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	defer func() { _ = cmd.Process.Release() }()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil { // stopped by its exec
		return 0, err
	}
	if err := syscall.PtraceSetOptions(pid, syscall.PTRACE_O_TRACEEXIT); err != nil {
		return 0, err
	}
	for deliver := 0; !status.Exited() && !status.Signaled(); {
		// It is gone already if a signal, or another thread of its, has ended it.
		if err := syscall.PtraceCont(pid, deliver); err != nil && err != syscall.ESRCH {
			return 0, err
		}
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
			return 0, err
		}
		deliver = 0
		switch {
		case status.TrapCause() == syscall.PTRACE_EVENT_EXIT:
			kib, _ = kibibytes(fmt.Sprintf("/proc/%d/status", pid), "VmHWM")
		case status.Stopped() && status.StopSignal() != syscall.SIGTRAP:
			deliver = int(status.StopSignal())
		}
	}
	return kib, nil
}
