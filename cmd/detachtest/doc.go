// Detachtest shows which ways of launching a program survive which deaths of
// the manager that launched it.
//
// For each death it starts a manager of its own, lets it launch a probe by the
// launcher under test, deals the death and looks whether the probe still beats.
// What it believes comes from /proc, pidfds and the probe's own beats; it
// shares no code with package detach, so that it can judge that too.
package main
