package detach

import (
	"fmt"
	"syscall"
)

// Exit is how a daemon has ended, as far as the kernel tells somebody who is
// not its parent.
type Exit struct {
	Known  bool           `json:"known"`
	Code   int            `json:"code"`             // exit status, 0 to 255
	Signal syscall.Signal `json:"signal,omitempty"` // that ended it, or 0
	OOM    bool           `json:"oom,omitempty"`    // the kernel has ended it, or another process of it, since it reached its limit on memory, see Limits; of one that systemd holds only by who waited for it
	Core   bool           `json:"core,omitempty"`   // its memory was dumped, see core(5)
}

// String says it in words: "exit status 1", "killed by SIGKILL", "it is not
// known how".
func (e Exit) String() string {
	switch {
	case !e.Known && e.OOM:
		return "it is not known how, but the kernel has ended a process of it, since it reached its limit on memory"
	case !e.Known:
		return "it is not known how"
	case e.Signal == 0:
		return fmt.Sprintf("exit status %d", e.Code)
	case e.OOM:
		return "killed by " + signalName(e.Signal) + ", out of memory: it reached its limit"
	case e.Core:
		return "killed by " + signalName(e.Signal) + ", core dumped"
	}
	return "killed by " + signalName(e.Signal)
}
