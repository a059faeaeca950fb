//go:build linux

package main

import "context"

var closedPipes = death{
	name:    "closed-pipes",
	who:     "Managers that stop reading, log collectors that are restarted: the pipes on the launcher's output are closed, while the manager lives.",
	blow:    "the closing of the pipes",
	ownOnly: "the pipes are the manager's own, which nobody else can close",
	deal: func(_ context.Context, s *stage) error {
		_, err := s.order(orderClose, func(r remark) bool { return r.Closed })
		return err
	},
}
