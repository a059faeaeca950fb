package detach

import (
	"os"
	"strconv"
	"strings"
)

// isDynamic tells whether systemd has made this user for a service, with
// DynamicUser= in systemd.exec(5): in the range that is for them (UIDS-GIDS.md of
// systemd), and not in /etc/passwd. It is gone with the service, and has no
// systemd of its own, nor can it linger.
func isDynamic(uid int) bool {
	if uid < 61184 || uid > 65519 {
		return false
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(passwd)) {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[2] == strconv.Itoa(uid) {
			return false
		}
	}
	return true
}
