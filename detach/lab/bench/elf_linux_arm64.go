package main

import "debug/elf"

const idleMachine = elf.EM_AARCH64

var idleCode = []uint32{
	0xd2800780, // mov x0, 60             tv_sec
	0xa9bf7fe0, // stp x0, xzr, [sp, -16]!
	0x910003e0, // mov x0, sp
	0xd2800001, // mov x1, 0
	0xd2800ca8, // mov x8, 101            nanosleep
	0xd4000001, // svc 0
	0xd2800000, // mov x0, 0
	0xd2800ba8, // mov x8, 93             exit
	0xd4000001, // svc 0
}
