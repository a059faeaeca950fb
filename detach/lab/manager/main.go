// Manager is the smallest manager that uses package detach: it starts the
// program that $DETACHTEST_PROBE names, says its PID, and stays. It is what detachtest --manager kills to show what the package does.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/detachkit/detach/detach"
)

func main() {
	daemon, err := detach.Command(os.Getenv("DETACHTEST_PROBE")).Start(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(daemon.PID)
	_, _ = daemon.Wait(context.Background())
}
