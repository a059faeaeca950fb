package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/detachkit/detach/detach"
)

// starter is a way for a Go program to start another one. The time of start
// counts, that of end does not.
type starter struct {
	name  string
	start func(path string) (end func() error, err error)
}

var (
	execStarter     = starter{"os/exec", startExec}
	packageStarter  = starter{"package Start", startDetached}
	execSeenStarter = starter{"os/exec, exec seen", startExecSeen}
	naiveStarter    = starter{"naive double fork", startNaive}
)

func startDetached(path string) (end func() error, err error) {
	daemon, err := detach.Command(path).Start(context.Background())
	if err != nil {
		return nil, err
	}
	return func() error {
		defer daemon.Close()
		return daemon.Kill(context.Background())
	}, nil
}

func startExec(path string) (end func() error, err error) {
	pid, err := execRelease(path)
	if err != nil {
		return nil, err
	}
	return func() error { return endChild(pid) }, nil
}

func startExecSeen(path string) (end func() error, err error) {
	pid, err := execRelease(path)
	if err != nil {
		return nil, err
	}
	if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil {
		return nil, errors.Join(err, endChild(pid))
	}
	return func() error { return endChild(pid) }, nil
}

func execRelease(path string) (pid int, err error) {
	cmd := exec.Command(path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid = cmd.Process.Pid // Release forgets it
	return pid, cmd.Process.Release()
}

// endChild ends a child that was not waited for. Until it is, it keeps its
// PID, so no other process is hit.
func endChild(pid int) error {
	err := syscall.Kill(pid, syscall.SIGKILL)
	_, waitErr := syscall.Wait4(pid, nil, 0, nil)
	return errors.Join(err, waitErr)
}

// starts measures a start from a program with a heap of each size.
func (b *bench) starts(ctx context.Context) error {
	fmt.Fprint(b.out, `
1. One start from a Go program, by the heap that it has touched; × is the ratio to os/exec

`)
	starters := []starter{execStarter, packageStarter, execSeenStarter, naiveStarter} // naive last
	result := table{{"heap"}}
	for _, s := range starters {
		result[0] = append(result[0], s.name+" ms", "×")
	}
	result[0] = append(result[0], "")
	var ratios []float64
	for _, gib := range b.heaps {
		row := []string{fmt.Sprintf("%d GiB", gib)}
		if !memoryFor(gib) {
			result.row(append(row, "skipped: not enough memory")...)
			continue
		}
		took, err := b.startsWithHeap(ctx, gib, starters)
		debug.FreeOSMemory()
		if err != nil {
			return err
		}
		for _, t := range took {
			row = append(row, ms(t.median()), times(t.over(took[0])))
		}
		result.row(append(row, "")...)
		ratios = append(ratios, took[1].over(took[0]))
	}
	result.print(b.out)
	fmt.Fprint(b.out, `
os/exec             exec.Command(IDLE) with Setsid, Start and Process.Release: fork, exec, still a child;
                    returns while the kernel still loads the program
package Start       detach.Command(IDLE).Start(ctx): double fork, exec, verified in /proc; recent kernels
                    let nobody read a process's state before its exec is complete
os/exec, exec seen  os/exec, then /proc/PID/stat read once, which waits for the exec in the same way
naive double fork   clone(SIGCHLD), setsid, clone(SIGCHLD), /dev/null, execve: as in C, each clone a copy of
                    the page tables; timed until the exec has closed its pipe; the page faults that it
                    leaves to its caller are not in it; measured after the others, a tenth of the runs
`)
	if len(ratios) > 0 {
		first, grown := ratios[0], ratios[len(ratios)-1]/ratios[0]
		fmt.Fprintf(b.out, "\ntarget: package Start at most 1.50× os/exec without a heap: %s: %s\n", times(first), verdict(first <= 1.5))
		fmt.Fprintf(b.out, "target: not growing with the heap (25 %% is noise): %s: %s\n", times(grown), verdict(grown <= 1.25))
	}
	return nil
}

// startsWithHeap measures the last starter after the others and in fewer runs:
// a fork that copies the page tables slows down whatever comes next, since each
// page of the heap is then write-protected, and it is out of the race anyway.
func (b *bench) startsWithHeap(ctx context.Context, gib int, starters []starter) ([]series, error) {
	heap := touchedHeap(gib)
	defer runtime.KeepAlive(heap)
	took := make([]series, len(starters))
	measure := func(i int) error {
		d, err := timeStart(starters[i], b.idle)
		took[i] = append(took[i], d)
		return err
	}
	last := len(starters) - 1
	if err := interleave(ctx, b.runs, last, measure); err != nil {
		return nil, err
	}
	err := interleave(ctx, max(b.runs/10, 1), 1, func(int) error { return measure(last) })
	return took, err
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}

func timeStart(s starter, path string) (time.Duration, error) {
	began := time.Now()
	end, err := s.start(path)
	took := time.Since(began)
	if err == nil {
		err = end()
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	return took, nil
}

// touchedHeap returns so many GiB of which every page has been written.
func touchedHeap(gib int) []byte {
	heap := make([]byte, gib<<30)
	for i := 0; i < len(heap); i += os.Getpagesize() {
		heap[i] = 1
	}
	return heap
}
