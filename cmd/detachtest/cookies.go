//go:build linux

package main

import "crypto/rand"

// newCookie returns a value that no other process has.
func newCookie() string { return rand.Text() }
