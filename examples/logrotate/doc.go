// Package logrotate is no program: it tests that the configuration beside it
// rotates the log of a daemon that runs.
package logrotate
