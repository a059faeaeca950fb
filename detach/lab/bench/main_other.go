//go:build !linux

package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: detach does not run on", runtime.GOOS)
	os.Exit(1)
}
