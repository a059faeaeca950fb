package detach

import (
	"os"
	"slices"
	"strings"
)

// managerOnly are the variables that speak of the manager and would be false
// of the daemon: where to notify systemd, which sockets were passed, who has
// to feed the watchdog. See sd_notify(3), sd_listen_fds(3),
// sd_watchdog_enabled(3) and systemd.exec(5).
var managerOnly = []string{
	"INVOCATION_ID",
	"JOURNAL_STREAM",
	"LISTEN_FDNAMES",
	"LISTEN_FDS",
	"LISTEN_PID",
	"MAINPID",
	"MANAGERPID",
	"NOTIFY_SOCKET",
	"SYSTEMD_EXEC_PID",
	"WATCHDOG_PID",
	"WATCHDOG_USEC",
}

// Environ returns the caller's environment less the variables that speak of
// the caller: NOTIFY_SOCKET, LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES,
// WATCHDOG_PID, WATCHDOG_USEC, MAINPID, MANAGERPID, SYSTEMD_EXEC_PID,
// INVOCATION_ID and JOURNAL_STREAM.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(managerOnly, name)
	})
}

// lookupEnv returns the value of a variable in env; where it is set twice the
// first counts, as for getenv(3).
func lookupEnv(env []string, name string) (string, bool) {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
