//go:build linux

package main

import "context"

var fullPipe = death{
	name:    "full-pipe",
	who:     "Managers that forget to read, or hang: the pipes on the launcher's output are full, so that whoever writes to them freezes, while the manager lives.",
	blow:    "the pipes were full",
	ownOnly: "the pipes are the manager's own, which nobody else can make it stop reading",
	deal: func(_ context.Context, s *stage) error {
		_, err := s.order(orderFill, func(r remark) bool { return r.Filled })
		return err
	},
}
