package main

import (
	"errors"

	"github.com/detachkit/detach/detach"
)

// parseRestart parses what --restart takes.
func parseRestart(s string, to *detach.Restart) error {
	switch r := detach.Restart(s); r {
	case detach.RestartOnFailure, detach.RestartAlways:
		*to = r
		return nil
	}
	return errors.New("is none of on-failure and always")
}
