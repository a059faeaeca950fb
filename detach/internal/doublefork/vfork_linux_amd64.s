#include "textflag.h"

#define SYS_clone 56

// func rawClone(flags uintptr, pidfd *int32) (pid uintptr, errno syscall.Errno)
TEXT ·rawClone(SB),NOSPLIT|NOFRAME,$0-32
	MOVQ	flags+0(FP), DI
	MOVQ	$0, SI		// stack: go on with the parent's
	MOVQ	pidfd+8(FP), DX
	MOVQ	$0, R10
	MOVQ	$0, R8
	MOVQ	$SYS_clone, AX
	POPQ	R12		// the return address, safe in a register
	SYSCALL
	PUSHQ	R12
	CMPQ	AX, $0xfffffffffffff001
	JLS	ok
	NEGQ	AX
	MOVQ	$0, pid+16(FP)
	MOVQ	AX, errno+24(FP)
	RET
ok:
	MOVQ	AX, pid+16(FP)
	MOVQ	$0, errno+24(FP)
	RET

// func rawCloneOnto(flags, stack uintptr, pidfd *int32, m *image, entry uintptr) (pid uintptr, errno syscall.Errno)
TEXT ·rawCloneOnto(SB),NOSPLIT|NOFRAME,$0-56
	MOVQ	flags+0(FP), DI
	MOVQ	stack+8(FP), SI
	MOVQ	pidfd+16(FP), DX
	MOVQ	m+24(FP), R12	// clone keeps both, the stack is another
	MOVQ	entry+32(FP), R13
	MOVQ	$0, R10
	MOVQ	$0, R8
	MOVQ	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JEQ	child
	CMPQ	AX, $0xfffffffffffff001
	JLS	ok
	NEGQ	AX
	MOVQ	$0, pid+40(FP)
	MOVQ	AX, errno+48(FP)
	RET
ok:
	MOVQ	AX, pid+40(FP)
	MOVQ	$0, errno+48(FP)
	RET
child:
	MOVQ	$0, BP		// the end of the frame pointers
	XORPS	X15, X15	// zero by convention
	SUBQ	$32, SP		// with room for what it was given in a register
	MOVQ	R12, AX
	CALL	R13		// indirect: the linker must not add up the two stacks
	INT	$3		// not reached
