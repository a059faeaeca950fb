package detach

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/proc"
)

const wantSignals = "SIGTERM neither ignored nor blocked"

// byWhom is all that can be told of who has ignored or blocked a signal: it
// passes through execve(2).
const byWhom = "by itself or inherited"

// checkSignals judges what is clearly bad only. What a program ignores or
// blocks is its own affair, and Start leaves nothing of the caller's: of a
// daemon with a record it is certain.
func (in *inspection) checkSignals() Check {
	c := Check{Name: "signals", Want: wantSignals, OK: true}
	if in.statusErr != nil {
		return unknown(c.Name, c.Want, in.statusErr)
	}
	whose := byWhom
	if in.record.Version > 0 {
		whose = "by itself"
	}
	var words []string
	switch {
	case in.status.Ignored.Has(unix.SIGTERM):
		c.OK = in.record.Version > 0
		words = append(words, "SIGTERM ignored, "+whose)
	case in.status.Blocked.Has(unix.SIGTERM) && in.blockedEverywhere(unix.SIGTERM):
		read, err := in.readsSignal(unix.SIGTERM)
		if err != nil {
			return unknown(c.Name, c.Want, fmt.Errorf("SIGTERM blocked, and whether it is read from a descriptor: %s", causeWords(err)))
		}
		if read {
			words = append(words, "SIGTERM read from a descriptor")
			break
		}
		c.OK = in.record.Version > 0
		words = append(words, "SIGTERM blocked, "+whose)
	case in.status.Caught.Has(unix.SIGTERM):
		words = append(words, "SIGTERM caught")
	default:
		words = append(words, "SIGTERM by default")
	}
	var ignored []string
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT} {
		if in.status.Ignored.Has(sig) {
			ignored = append(ignored, signalName(sig))
		}
	}
	if len(ignored) > 0 {
		words = append(words, enumerate(ignored)+" ignored, "+whose)
	}
	c.Got = strings.Join(words, "; ")
	return c
}

// blockedEverywhere tells whether all threads block a signal. One that waits in
// sigwait(3) does not: the kernel unblocks it meanwhile.
func (in *inspection) blockedEverywhere(sig unix.Signal) bool {
	tids, all, err := proc.Numbers(procDir(in.pid)+"/task", maxThreads)
	if err != nil || !all {
		return false
	}
	for _, tid := range tids {
		status, err := proc.ReadStatus(fmt.Sprintf("%s/task/%d", procDir(in.pid), tid))
		if err == nil && !status.Blocked.Has(sig) {
			return false
		}
	}
	return true
}

// readsSignal tells whether the process has a descriptor to read a signal from,
// see signalfd(2), for which it has to be blocked.
func (in *inspection) readsSignal(sig unix.Signal) (bool, error) {
	fds, _, err := proc.Numbers(in.dir+"/fd", maxFiles)
	if err != nil {
		return false, err
	}
	for _, fd := range fds {
		if target, err := os.Readlink(in.dir + "/fd/" + strconv.Itoa(fd)); err != nil || target != "anon_inode:[signalfd]" {
			continue
		}
		info, err := proc.Read(in.dir+"/fdinfo/"+strconv.Itoa(fd), 64<<10)
		if err == nil && parseSignalFD(info).Has(sig) {
			return true, nil
		}
	}
	return false, nil
}

// parseSignalFD returns the signals of a signalfd, from the content of
// /proc/PID/fdinfo/N; none if it is something else.
func parseSignalFD(info []byte) proc.SignalSet {
	for line := range bytes.Lines(info) {
		if value, ok := bytes.CutPrefix(line, []byte("sigmask:")); ok {
			mask, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
			if err != nil {
				return 0
			}
			return proc.SignalSet(mask)
		}
	}
	return 0
}
