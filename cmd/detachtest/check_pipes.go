//go:build linux

package main

import "context"

var checkPipes = check{
	name:   "pipes",
	who:    "Scripts that hang in $(...), and managers that read the launcher's output to its end, since the program keeps the other end open.",
	hidden: "the pipes are the manager's own, where nobody else can read them",
	examine: func(ctx context.Context, s *stage, b *birth) (finding, error) {
		pipes, err := s.ownPipes()
		if err != nil {
			return finding{}, err
		}
		for _, pipe := range pipes {
			if isOpenIn(b.PID, pipe) {
				return found(bad, "it holds the pipe that the launcher was given: whoever reads to its end waits until the program's"), nil
			}
		}
		ended, err := await(ctx, func() (bool, error) {
			r, err := s.order(orderOutput, remark.isOutput)
			return r.EOF, err
		})
		if err != nil {
			return finding{}, err
		}
		if ended {
			return found(good, "the launcher's output ends with the launcher"), nil
		}
		holders, err := processes(func(p stat) bool {
			return p.pid != s.manager.pid && (isOpenIn(p.pid, pipes[0]) || isOpenIn(p.pid, pipes[len(pipes)-1]))
		})
		if err != nil {
			return finding{}, err
		}
		return found(bad, "the launcher's output does not end: %s", describe(holders)), nil
	},
}
