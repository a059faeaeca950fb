// Package proc reads what /proc says of a process.
package proc
