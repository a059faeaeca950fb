package main

import "debug/elf"

const idleMachine = elf.EM_X86_64

var idleCode = []byte{
	0x6a, 0x00, // push 0            tv_nsec
	0x6a, 0x3c, // push 60           tv_sec
	0x48, 0x89, 0xe7, // mov rdi, rsp
	0x31, 0xf6, // xor esi, esi
	0x6a, 0x23, // push 35
	0x58,       // pop rax           nanosleep
	0x0f, 0x05, // syscall
	0x31, 0xff, // xor edi, edi
	0x6a, 0x3c, // push 60
	0x58,       // pop rax           exit
	0x0f, 0x05, // syscall
}
