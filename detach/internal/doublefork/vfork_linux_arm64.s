#include "textflag.h"

#define SYS_clone 220

// func rawClone(flags uintptr, pidfd *int32) (pid uintptr, errno syscall.Errno)
//
// The return address is in the link register and never on the stack.
TEXT ·rawClone(SB),NOSPLIT,$0-32
	MOVD	flags+0(FP), R0
	MOVD	$0, R1		// stack: go on with the parent's
	MOVD	pidfd+8(FP), R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$SYS_clone, R8
	SVC
	CMN	$4095, R0
	BCC	ok
	NEG	R0, R0
	MOVD	ZR, pid+16(FP)
	MOVD	R0, errno+24(FP)
	RET
ok:
	MOVD	R0, pid+16(FP)
	MOVD	ZR, errno+24(FP)
	RET

// func rawCloneOnto(flags, stack uintptr, pidfd *int32, m *image, entry uintptr) (pid uintptr, errno syscall.Errno)
TEXT ·rawCloneOnto(SB),NOSPLIT|NOFRAME,$0-56
	MOVD	flags+0(FP), R0
	MOVD	stack+8(FP), R1
	MOVD	pidfd+16(FP), R2
	MOVD	m+24(FP), R9	// clone keeps both, the stack is another
	MOVD	entry+32(FP), R10
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$SYS_clone, R8
	SVC
	CBZ	R0, child
	CMN	$4095, R0
	BCC	ok
	NEG	R0, R0
	MOVD	ZR, pid+40(FP)
	MOVD	R0, errno+48(FP)
	RET
ok:
	MOVD	R0, pid+40(FP)
	MOVD	ZR, errno+48(FP)
	RET
child:
	MOVD	$0, R29		// the end of the frame pointers
	SUB	$32, RSP	// with room for what it was given in a register
	MOVD	R9, R0
	BL	(R10)		// indirect: the linker must not add up the two stacks
	BRK			// not reached
