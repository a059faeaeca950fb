//go:build linux

package main

import "context"

var systemdStop = death{
	name:  "systemd-stop",
	who:   "systemctl stop: the manager is a service of systemd, and all that is in the service's cgroup is stopped with it.",
	lacks: lacksSystemd,
	start: (*stage).startService,
	deal: func(ctx context.Context, s *stage) error {
		_, err := runSystemctl(ctx, "systemctl", "stop", s.unit)
		return err
	},
	by: "cgroup",
}
