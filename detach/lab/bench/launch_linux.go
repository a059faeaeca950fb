package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cost is that of one launch.
type cost struct {
	wall    time.Duration // from the fork of the launcher to its end
	cpu     time.Duration // user and system, of the launcher and what it waited for
	program time.Duration // of the process it left, which did a part of the work before its exec
}

// launch runs a launcher, waits for IDLE to run, and ends it. Messages go to a
// file or, where that is nil, to /dev/null; a pipe would be held by IDLE.
func (b *bench) launch(l launcher, messages *os.File) (c cost, err error) {
	cmd := exec.Command(l.argv[0], l.argv[1:]...)
	if messages != nil {
		cmd.Stderr = messages
	}
	began := time.Now()
	err = cmd.Run()
	c.wall = time.Since(began)
	if err != nil {
		return cost{}, err
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	c.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if !l.nothing {
		c.program, err = b.endStarted()
	}
	return c, err
}

// endStarted finds IDLE, ends it and waits until nothing is left of its launch.
func (b *bench) endStarted() (cpu time.Duration, err error) {
	pids, err := waitOurs(executes(b.idle), 1)
	if err != nil {
		return 0, err
	}
	cpu = cpuOf(pids[0])
	if err := endIf(pids[0], executes(b.idle)); err != nil {
		return 0, err
	}
	_, err = waitOurs(mentions(b.dir), 0)
	return cpu, err
}

// cpuOf returns the CPU time of a process so far, to the nanosecond where the
// kernel counts it so, else nothing; /proc/PID/stat counts in hundredths.
func cpuOf(pid int) time.Duration {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/schedstat")
	if err != nil {
		return 0
	}
	text, _, _ := strings.Cut(string(data), " ")
	ns, _ := strconv.ParseInt(text, 10, 64)
	return time.Duration(ns)
}

// launchers measures the binary beside other launchers.
func (b *bench) launchers(ctx context.Context) error {
	fmt.Fprint(b.out, `
2. One launch of IDLE by a command; × is the ratio to the empty Go program

`)
	usable, without := b.usableLaunchers()
	if len(usable) == 0 || !usable[0].nothing {
		return errors.New(without[0])
	}
	n := len(usable)
	wall, cpu, both := make([]series, n), make([]series, n), make([]series, n)
	err := interleave(ctx, b.runs, n, func(i int) error {
		c, err := b.launch(usable[i], nil)
		if err != nil {
			return fmt.Errorf("%s: %w", usable[i].name, err)
		}
		wall[i] = append(wall[i], c.wall)
		cpu[i] = append(cpu[i], c.cpu)
		both[i] = append(both[i], c.cpu+c.program)
		return nil
	})
	if err != nil {
		return err
	}
	memory := make([]int, n)
	for i, l := range usable {
		if memory[i], err = b.peak(ctx, l); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	result := table{{"", "wall ms", "×", "cpu ms", "×", "with program's ms", "×", "peak KiB", "×", "waits", "command"}}
	for i, l := range usable {
		waits := "no"
		switch {
		case l.nothing:
			waits = "-"
		case l.waits:
			waits = "yes"
		}
		peak, peakRatio := "-", "-"
		if memory[i] > 0 && memory[0] > 0 {
			peak, peakRatio = strconv.Itoa(memory[i]), times(float64(memory[i])/float64(memory[0]))
		}
		result.row(l.name,
			ms(wall[i].median()), times(wall[i].over(wall[0])),
			ms(cpu[i].median()), times(cpu[i].over(cpu[0])),
			ms(both[i].median()), times(both[i].over(both[0])),
			peak, peakRatio, waits, b.commandLine(l.argv))
	}
	result.print(b.out)
	b.compareWays(usable, wall)
	for _, w := range without {
		fmt.Fprintln(b.out, "not measured:", w)
	}
	fmt.Fprint(b.out, `
wall               from the start of the command, with /dev/null as 0, 1 and 2, until it has ended
cpu                user and system, of the command and the children it waited for, from wait4(2); what
                   init or systemd does for it is not in it
with program's     the same and what the program it left has used: it was forked from the launcher,
                   and did a part of the launcher's work before its exec
peak               resident memory of the command itself, VmHWM at its end, from runs that are not timed
waits              whether it returns after the program was exec'd; others return before, and some of
                   their work is not in their wall time
`)
	return nil
}

// compareWays compares the ways of holding a daemon that there are here.
func (b *bench) compareWays(usable []launcher, wall []series) {
	took := map[string]series{}
	for i, l := range usable {
		took[l.name] = wall[i]
	}
	if auto, ok := took["detach"]; ok && !exists(booted) {
		ratio := auto.over(took["detach --via fork"])
		fmt.Fprintf(b.out, "\ntarget: auto, where there is no systemd, at most 1.05× --via fork: %.3f×: %s\n", ratio, verdict(ratio <= 1.05))
	}
	if ours, ok := took["detach --via systemd"]; ok && len(took["systemd-run"]) > 0 {
		ratio := ours.over(took["systemd-run"])
		fmt.Fprintf(b.out, "\n--via systemd beside systemd-run: %s\n", times(ratio))
	}
}

// booted is there where systemd is the init, see sd_booted(3).
const booted = "/run/systemd/system"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// commandLine shows a command as it could be typed.
func (b *bench) commandLine(argv []string) string {
	var words []string
	for _, word := range argv {
		word = strings.NewReplacer(b.idle, "IDLE", b.empty, "EMPTY", b.dir, "DIR", b.detach, "detach", "\n", "; ").Replace(word)
		if strings.ContainsAny(word, " &;()") {
			word = "'" + word + "'"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
