package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/detachkit/detach/detach"
)

// All that detach says on standard error is said here: "detach: step path:
// cause", lower case, no full stop; what to do about it on a line of its own.

// Exit statuses, after env(1), nohup(1) and timeout(1) of coreutils.
const (
	statusStarted   = 0
	statusExited    = 123
	statusTimeout   = 124 // as of timeout(1)
	statusFailed    = 125
	statusCannotRun = 126
	statusNotFound  = 127
)

func exitStatus(err error) int {
	var e *detach.Error
	var notReady *detach.NotReadyError
	switch {
	case errors.As(err, &notReady) && errors.Is(notReady, context.DeadlineExceeded):
		return statusTimeout
	case errors.Is(err, detach.ErrExited), errors.As(err, &notReady) && errors.Is(notReady, detach.ErrFailed):
		return statusExited
	case !errors.As(err, &e):
		return statusFailed
	case e.Op == "find" && errors.Is(err, fs.ErrNotExist):
		return statusNotFound
	case e.Op == "find", e.Op == "exec":
		return statusCannotRun
	}
	return statusFailed
}

func report(stderr io.Writer, err error) {
	fmt.Fprintln(stderr, err)
	logOf(stderr, err)
	if hint := hintFor(err); hint != "" {
		fmt.Fprintln(stderr, "hint:", hint)
	}
}

func warn(stderr io.Writer, hazards []detach.Hazard) {
	for _, h := range hazards {
		fmt.Fprintln(stderr, "detach: warning:", h.Text)
		if h.Remedy != "" {
			fmt.Fprintln(stderr, "hint:", h.Remedy)
		}
	}
}

// underlying takes the step and path off an error of package os.
func underlying(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func hintFor(err error) string {
	var usage *usageError
	if errors.As(err, &usage) {
		return usage.hint
	}
	var known *hinted
	if errors.As(err, &known) {
		return known.hint
	}
	var e *detach.Error
	if !errors.As(err, &e) {
		return ""
	}
	var notReady *detach.NotReadyError
	if errors.As(err, &notReady) {
		return notReadyHint(notReady)
	}
	var hazards *detach.HazardError
	if errors.As(err, &hazards) {
		return hazardHint(hazards)
	}
	switch e.Op {
	case "via":
		return viaHint(e)
	case "limit":
		if strings.HasPrefix(e.Path, "io-weight=") {
			return "give the disk the scheduler BFQ: echo bfq >/sys/block/DISK/queue/scheduler; or turn on the cost model, see io.cost.qos"
		}
	case "user":
		if errors.Is(err, fs.ErrPermission) {
			return "start it as root, as with sudo"
		}
		if errors.Is(err, errors.ErrUnsupported) {
			return "useradd makes one; --via fork does without"
		}
	case "find":
		return findHint(e)
	case "exec":
		return execHint(e)
	case "fork", "second fork":
		if errors.Is(err, syscall.EAGAIN) {
			return "a limit on processes has been reached: ulimit -u, or pids.max of the cgroup"
		}
	case "lock":
		if errors.Is(err, context.DeadlineExceeded) {
			return "somebody else holds a lock on this folder; give the PID file a folder of its own"
		}
		return "keep the PID file on a local file system, such as /run"
	case "ready":
		if errors.Is(err, syscall.EMFILE) {
			return "a lower number, or a higher limit: ulimit -n"
		}
		if errors.Is(err, errors.ErrUnsupported) {
			return "--ready notify, where the program sends READY=1 (sd_notify(3)), or without"
		}
	case "verify":
		if errors.Is(err, detach.ErrExited) {
			return "it ended at once: its log tells why; if it puts itself into the background, have it not do that"
		}
		if e.Path == "/proc" {
			return "mount it for this PID namespace: mount -t proc proc /proc"
		}
	}
	return fileHint(e)
}

func hazardHint(e *detach.HazardError) string {
	for _, h := range e.Hazards {
		if h.Remedy != "" {
			return h.Remedy
		}
	}
	return ""
}

func viaHint(e *detach.Error) string {
	if errors.Is(e, errors.ErrUnsupported) || e.Path != string(detach.ViaSystemd) {
		return ""
	}
	if !exists("/run/systemd/system") { // sd_booted(3)
		return "systemd is not the init here; --via fork does without"
	}
	uid := os.Geteuid()
	if uid >= 61184 && uid <= 65519 { // of DynamicUser=, where nobody else has it
		if _, err := user.LookupId(strconv.Itoa(uid)); err != nil {
			return "a dynamic user has no systemd of its own: --via fork, with KillMode=process in the unit; or a User= of /etc/passwd"
		}
	}
	if uid != 0 {
		return fmt.Sprintf("a user has a systemd while logged in, and always with: loginctl enable-linger %d", uid)
	}
	return "is systemd in order here? --via fork does without"
}

func notReadyHint(e *detach.NotReadyError) string {
	switch {
	case errors.Is(e, context.DeadlineExceeded):
		return "--timeout gives it longer, --keep lets it go on all the same"
	case errors.Is(e, detach.ErrExited) && len(e.Log) == 0:
		return "it has left nothing in a log; -o FILE gives it one"
	}
	return ""
}

func findHint(e *detach.Error) string {
	switch {
	case errors.Is(e, fs.ErrNotExist) && !strings.Contains(e.Path, "/"):
		return "give its path, or another PATH with -E PATH=..."
	case errors.Is(e, fs.ErrNotExist) && !filepath.IsAbs(e.Path):
		return "a relative path is relative to the directory given with -C"
	case errors.Is(e, fs.ErrPermission):
		return "make it executable (chmod +x), and its folder accessible and not mounted noexec"
	}
	return ""
}

func execHint(e *detach.Error) string {
	var interpreter *detach.InterpreterError
	switch {
	case errors.As(e, &interpreter):
		return "install it, or correct the first line of the script (a carriage return at its end counts)"
	case errors.Is(e, syscall.ENOEXEC):
		return "a script needs #!/bin/sh or the like as its first line, or its interpreter before it: detach -- sh " + quote(e.Path) +
			"; a binary has to be for this machine"
	case errors.Is(e, syscall.E2BIG):
		return "the arguments and the environment are too long together; pass them in a file"
	}
	return ""
}

func fileHint(e *detach.Error) string {
	var supervised *detach.SupervisedError
	var running *detach.RunningError
	var left *detach.LeftError
	switch {
	case errors.As(e, &left):
		return "look at them (ps -p), and end them by their PIDs; then remove the PID file"
	case errors.As(e, &running) && len(running.Left) > 0:
		return "detach stop " + quote(e.Path) + " ends them"
	case errors.As(e, &running):
		return "stop it first, or choose another PID file"
	case errors.Is(e, detach.ErrNotPIDFile), errors.Is(e, detach.ErrNotRecord):
		return "nothing was overwritten; choose another name with -p"
	case errors.Is(e, detach.ErrIsPIDFile):
		return "give each file a name of its own; the record has that of the PID file with .json"
	case errors.Is(e, detach.ErrNotLog):
		return "log to a file and let readers follow it with tail -F; --console makes a FIFO the standard input"
	case errors.Is(e, detach.ErrNotTheirs):
		return "give it to the user (chown), or name another one"
	case errors.As(e, &supervised):
		return supervisedHint(supervised)
	case errors.Is(e, detach.ErrRestarting):
		return "its log or systemctl status tells why; detach stop ends that"
	case errors.Is(e, detach.ErrNotSupervised):
		return "have systemd hold it: --via systemd"
	case errors.Is(e, detach.ErrNoLog):
		return "name a log file with -o"
	case errors.Is(e, detach.ErrNoConsole):
		return "start it with --console FIFO"
	case errors.Is(e, detach.ErrConsoleGone):
		return "it still has the FIFO that it was started with as /proc/PID/fd/0; to get one with a name it has to be started again"
	case errors.Is(e, detach.ErrNoRecord):
		return "its record was lost or never written; if it is the right one, name it by its PID"
	case errors.Is(e, detach.ErrAncestor):
		return "nothing was signalled; do it from outside (docker stop, poweroff), or name a daemon by its PID file"
	case errors.Is(e, detach.ErrNotFIFO):
		return "nothing was overwritten; choose another name with --console"
	case errors.Is(e, fs.ErrNotExist):
		if folder := filepath.Dir(e.Path); !exists(folder) {
			return "create its folder first: mkdir -p " + quote(folder)
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// quote writes words as a shell reads them.
func quote(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsFunc(w, func(r rune) bool {
			return !strings.ContainsRune("%+,-./:=@_", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		}) {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func supervisedHint(e *detach.SupervisedError) string {
	if e.Err != nil {
		return "stop it as root, or as the user whose systemd it is"
	}
	if e.User != 0 {
		return "systemctl --user stop " + e.Unit
	}
	return "systemctl stop " + e.Unit
}
