//go:build !linux

package lab

// DefaultSignals does nothing here.
func DefaultSignals() {}
