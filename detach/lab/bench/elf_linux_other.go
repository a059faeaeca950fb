//go:build linux && !amd64 && !arm64

package main

const idleIs = "a Go program that sleeps (there is no smaller one for this architecture)"

func idleELF() []byte { return nil }
