// Package ci is no program: it tests that the CI configurations beside it can
// be parsed, and that the commands in them do what they are there for.
package ci
