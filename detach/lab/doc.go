// Package lab is the test bench of this project: what its tests need of the
// machine, the programs they build, and /proc as their oracle.
//
// It is imported by tests only and promises nothing to anybody else. It shares
// no code with package detach, because a test must not ask the accused.
package lab
