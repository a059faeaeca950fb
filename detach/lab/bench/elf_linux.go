//go:build amd64 || arm64

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"unsafe"
)

const idleIs = "a static program without a runtime that sleeps"

// idleELF returns an executable that is its headers and a few instructions: it
// sleeps a minute, so that none is left for long should the bench be killed,
// and exits. Whatever else is executed costs more, and the same in every
// column, which would make the ratios look better than they are.
func idleELF() []byte {
	const base = 0x400000 // any page that is mapped by nobody else
	const headers = uint64(unsafe.Sizeof(elf.Header64{}) + unsafe.Sizeof(elf.Prog64{}))
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{
			0x7f, 'E', 'L', 'F',
			elf.EI_CLASS: byte(elf.ELFCLASS64), elf.EI_DATA: byte(elf.ELFDATA2LSB), elf.EI_VERSION: byte(elf.EV_CURRENT),
		},
		Type:      uint16(elf.ET_EXEC),
		Machine:   uint16(idleMachine),
		Version:   uint32(elf.EV_CURRENT),
		Entry:     base + headers,
		Phoff:     uint64(unsafe.Sizeof(elf.Header64{})),
		Ehsize:    uint16(unsafe.Sizeof(elf.Header64{})),
		Phentsize: uint16(unsafe.Sizeof(elf.Prog64{})),
		Phnum:     1,
	}
	size := headers + uint64(len(idleCode))
	segment := elf.Prog64{
		Type:   uint32(elf.PT_LOAD),
		Flags:  uint32(elf.PF_R | elf.PF_X),
		Vaddr:  base,
		Filesz: size,
		Memsz:  size,
		Align:  0x10000, // the largest page of the two architectures
	}
	var image bytes.Buffer
	for _, part := range []any{header, segment, idleCode} {
		if err := binary.Write(&image, binary.LittleEndian, part); err != nil {
			panic(err) // numbers of fixed sizes only
		}
	}
	return image.Bytes()
}
