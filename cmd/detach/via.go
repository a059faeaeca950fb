package main

import (
	"errors"

	"github.com/detachkit/detach/detach"
	_ "github.com/detachkit/detach/detach/systemd" // for --via systemd
)

// parseVia parses what --via takes.
func parseVia(s string) (detach.Via, error) {
	switch via := detach.Via(s); via {
	case "auto":
		return detach.ViaAuto, nil
	case detach.ViaFork, detach.ViaSystemd, detach.ViaCgroup:
		return via, nil
	}
	return "", errors.New("is none of auto, fork, systemd and cgroup")
}
