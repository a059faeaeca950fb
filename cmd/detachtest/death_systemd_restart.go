//go:build linux

package main

import "context"

var systemdRestart = death{
	name:  "systemd-restart",
	who:   "systemctl restart, upgrades of the manager's package: the manager is a service of systemd and is restarted, as it is to be without harm to what it has started.",
	lacks: lacksSystemd,
	start: (*stage).startService,
	deal: func(ctx context.Context, s *stage) error {
		_, err := runSystemctl(ctx, "systemctl", "restart", s.unit)
		return err
	},
	by: "cgroup",
}
