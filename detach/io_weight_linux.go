package detach

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// weighing is what honours the weights of cgroups on at least one disk: without
// it the kernel takes a weight and does nothing. They are the scheduler BFQ and,
// with version 2, the cost model, which is off by default.
type weighing struct {
	bfq, cost bool
	disks     []string // with their schedulers, as "sda: mq-deadline"
}

// findWeighing looks at the disks, in /sys/block, and at io.cost.qos in the root
// of version 2. From within a cgroup namespace that is not to be seen.
func findWeighing(block, root string) (w weighing) {
	files, _ := filepath.Glob(filepath.Join(block, "*", "queue", "scheduler"))
	for _, file := range files {
		disk := filepath.Dir(filepath.Dir(file))
		if number(filepath.Join(disk, "size")) == 0 { // a loop device without a file
			continue
		}
		for _, name := range words(file) {
			if chosen, ok := strings.CutPrefix(name, "["); ok {
				chosen = strings.TrimSuffix(chosen, "]")
				w.bfq = w.bfq || chosen == "bfq"
				w.disks = append(w.disks, filepath.Base(disk)+": "+chosen)
			}
		}
	}
	if root != "" {
		w.cost = slices.Contains(words(filepath.Join(root, "io.cost.qos")), "enable=1")
	}
	return w
}

func weighingHere() weighing { return findWeighing("/sys/block", cgroupMount("cgroup2", "")) }

// check refuses a weight that nothing honours.
func (w weighing) check(weight int) error {
	if w.bfq || w.cost {
		return nil
	}
	disks := "no disk is seen"
	if len(w.disks) > 0 {
		disks = strings.Join(w.disks, ", ")
	}
	return &Error{Op: "limit", Path: fmt.Sprintf("io-weight=%d", weight),
		Err: unfitError("no disk has a scheduler that honours it, so it cannot be enforced (" + disks + ")")}
}

// ioWeight is the weight of a cgroup as far as it is honoured; -1 if it is not.
// Version 1 knows BFQ only.
func (c controlled) ioWeight(w func() weighing) int64 {
	bfq, cost := number(filepath.Join(c.dir, "blkio.bfq.weight")), int64(-1)
	if !c.v1 {
		bfq, cost = field(filepath.Join(c.dir, "io.bfq.weight"), "default"), field(filepath.Join(c.dir, "io.weight"), "default")
	}
	if max(bfq, cost) == defaultWeight { // which needs nobody to honour it
		return defaultWeight
	}
	here := w()
	if !here.bfq {
		bfq = -1
	}
	if !here.cost {
		cost = -1
	}
	return max(bfq, cost)
}

// weigh sets the weight of a new cgroup of version 2, in both files if there are
// both.
func weigh(dir string, weight int) error {
	for name, weight := range map[string]int{"io.weight": weight, "io.bfq.weight": bfqWeight(weight)} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			continue // what is honoured is looked at afterwards
		}
		if err := writeControl(path, fmt.Sprintf("default %d", weight)); err != nil {
			return err
		}
	}
	return nil
}

// defaultWeight is that of who has no other.
const defaultWeight = 100

// bfqWeight puts a weight from 1 to 10000 among those of BFQ, from 1 to 1000, as
// systemd does.
func bfqWeight(weight int) int {
	if weight <= defaultWeight {
		return weight
	}
	return defaultWeight + (weight-defaultWeight)*(1000-defaultWeight)/(10000-defaultWeight)
}
