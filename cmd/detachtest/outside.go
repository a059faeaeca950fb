//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// runName begins the names of what a tester makes outside of its folder, cgroups
// and services: it is the folder's own.
var runName = fmt.Sprintf("detachtest-%d", os.Getpid())

// removeOutside removes what a tester that was killed has left outside of the
// folder of that name.
func removeOutside(name string) error {
	var errs []error
	if own, err := ownCgroup(); err == nil { // else there are none
		left, err := filepath.Glob(filepath.Join(own, name+"-*"))
		errs = append(errs, err)
		for _, dir := range left {
			errs = append(errs, removeCgroup(dir))
		}
	}
	if lacksSystemd() == "" {
		ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
		defer cancel()
		list, err := runSystemctl(ctx, "systemctl", "list-units", "--all", "--plain", "--no-legend", name+"-*")
		errs = append(errs, err)
		for line := range strings.Lines(list) {
			if fields := strings.Fields(line); len(fields) > 0 {
				errs = append(errs, removeService(fields[0]))
			}
		}
	}
	return errors.Join(errs...)
}
