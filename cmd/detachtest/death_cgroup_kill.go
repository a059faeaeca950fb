//go:build linux

package main

import "context"

var cgroupKill = death{
	name:  "cgroup-kill",
	who:   "systemctl stop and kill, the kernel when memory.oom.group is set, docker kill: all processes in the manager's cgroup, and in those below it, are killed.",
	lacks: lacksCgroup,
	prepare: func(s *stage) error {
		dir, err := makeCgroup()
		if err != nil {
			return err
		}
		s.later(func() error { return removeCgroup(dir) })
		s.cgroup = dir
		s.prelude = append(s.prelude, stepCgroup+dir)
		return nil
	},
	deal: func(ctx context.Context, s *stage) error {
		return killCgroup(ctx, s.cgroup)
	},
	by: "cgroup",
}
