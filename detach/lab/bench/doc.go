// Bench measures what starting a daemon costs, with the package and with the
// binary detach, beside what else there is to do it with.
//
// Times differ between machines and between minutes, so it prints no promise
// but ratios: whatever is compared runs interleaved, in the same minutes on the
// same machine, and medians are compared. Run it on a quiet machine.
//
//	go run ./detach/lab/bench [-bin DIR] [-runs N] [-quick]
package main
