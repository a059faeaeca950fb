package main

import "runtime/debug"

// Version may be set by whoever packages the binary:
// go build -ldflags "-X main.Version=v1.2.3".
var Version string

func version() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
