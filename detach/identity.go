package detach

import "fmt"

// Identity identifies a process for ever. A PID alone does not: it is used
// again.
type Identity struct {
	PID    int    `json:"pid"`
	Start  uint64 `json:"start"`   // clock ticks after boot, field 22 of proc_pid_stat(5)
	BootID string `json:"boot_id"` // random(4); empty where the kernel does not tell
}

// String returns the identity as one word, PID@START.BOOT, with the first
// eight digits of the boot id.
func (id Identity) String() string {
	return fmt.Sprintf("%d@%d.%.8s", id.PID, id.Start, id.BootID)
}
