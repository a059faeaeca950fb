package detach

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Identity identifies a process for ever. A PID alone does not: it is used
// again.
type Identity struct {
	PID    int    `json:"pid"`
	Start  uint64 `json:"start"`   // clock ticks after boot, field 22 of proc_pid_stat(5)
	BootID string `json:"boot_id"` // random(4); empty where the kernel does not tell
}

// String returns the identity as one word, PID@START.BOOT, with the first
// eight digits of the boot id, or PID@START where that is not known.
func (id Identity) String() string {
	if id.BootID == "" {
		return fmt.Sprintf("%d@%d", id.PID, id.Start)
	}
	return fmt.Sprintf("%d@%d.%.8s", id.PID, id.Start, id.BootID)
}

var errIdentity = errors.New("is not PID@START.BOOT")

// ParseIdentity parses what Identity.String returns. The boot id may be any
// part of its beginning, or missing with its dot: such an identity matches only
// what it names.
func ParseIdentity(s string) (Identity, error) {
	pid, rest, _ := strings.Cut(s, "@")
	start, boot, _ := strings.Cut(rest, ".")
	var id Identity
	var err error
	if id.PID, err = strconv.Atoi(pid); err != nil || id.PID < 1 || pid[0] == '+' {
		return Identity{}, errIdentity
	}
	if id.Start, err = strconv.ParseUint(start, 10, 64); err != nil {
		return Identity{}, errIdentity
	}
	if strings.Trim(boot, "0123456789abcdef-") != "" || len(boot) > 36 {
		return Identity{}, errIdentity
	}
	id.BootID = boot
	return id, nil
}

// sameBoot tells whether a boot id, or the beginning of one, may be of the boot
// with this id. Where the kernel does not tell, it may.
func sameBoot(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
