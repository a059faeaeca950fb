//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// The roles in which this program runs itself.
const (
	managerRole = "manager"
	serverRole  = "server"
)

// deadline is for the whole tour, which takes about a second: only what is
// broken takes longer.
const deadline = time.Minute

func main() {
	if len(os.Args) == 3 && os.Args[1] == managerRole {
		exit("manager", manage(os.Args[2], os.Stdout))
	}
	if len(os.Args) == 2 && os.Args[1] == serverRole {
		exit("server", serve(os.Stdout))
	}
	launcher := flag.String("detach", "bin/detach", "the `path` of detach")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	exit("tour", guide(*launcher))
}

func exit(name string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// guide gives the tour, and tidies up after it however it ends.
func guide(launcher string) error {
	path, err := exec.LookPath(launcher)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: make builds it", launcher)
	}
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	// A reader that goes away (tour | head -1) must not end the tour before it
	// has tidied up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, errors.New("this takes much too long"))
	defer cancel()

	folder, err := os.MkdirTemp("", "detach-tour-")
	if err != nil {
		return err
	}
	t := &tour{page: newPage(os.Stdout), detach: path, folder: folder}
	err = t.run(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx) // of which the error is a consequence
	}
	return errors.Join(err, t.tidyUp(), t.page.err)
}
