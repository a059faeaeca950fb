//go:build linux

package main

import (
	"context"

	"golang.org/x/sys/unix"
)

var pdeathsig = death{
	name:      "pdeathsig",
	who:       "Go programs with SysProcAttr.Pdeathsig, prctl(PR_SET_PDEATHSIG) in a worker: the thread that started the launcher ends, of which the kernel makes SIGKILL to its children, while the manager lives.",
	blow:      "the end of the thread",
	ownOnly:   "it is a thread of the manager that ends, which nobody else can make it do",
	parentSig: unix.SIGKILL,
	deal: func(_ context.Context, s *stage) error {
		_, err := s.order(orderEndThread, func(r remark) bool { return r.ThreadEnded })
		return err
	},
}
