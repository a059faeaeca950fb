// Package isolation is no program: it tests that the scripts beside it start a
// server which is found, verified, and stopped completely.
package isolation
