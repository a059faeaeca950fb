package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/detachkit/detach/detach"
)

const hazardsUsage = `Usage: detach hazards [flags]

Tell how a program would be started from here, and what could end or cripple it
all the same. Nothing is started. Run it where the programs are started that
die: in the same service, job or login.

      --via WAY        as of detach (default: auto)
  -o, --stdout FILE    with a log, as of detach; nothing is written to it
      --outlive-ci     as of detach
      --json           print a JSON object
  -h, --help           print this text

Exit status:
  0    nothing that is known
  1    something, it is printed
  125  detach failed, or was misused

Example:
  systemd-run --pipe -p User=panel detach hazards
`

const (
	hazardsNone  = 0
	hazardsFound = 1
)

func runHazards(args []string, stdout, stderr io.Writer) (status int) {
	var asJSON, outliveCI bool
	cmd := &detach.Cmd{Manager: manager()}
	flags := newFlags("detach hazards")
	flags.value(func(s string) (err error) {
		cmd.Via, err = parseVia(s)
		return err
	}, "", "via")
	flags.text(&cmd.Stdout, "o", "stdout")
	flags.toggle(&outliveCI, "", "outlive-ci")
	flags.toggle(&asJSON, "", "json")
	if status, over := flags.begin(args, hazardsUsage, stdout, stderr); over {
		return status
	}
	if len(flags.Args()) > 0 {
		report(stderr, &usageError{"hazards takes no target", "detach verify TARGET looks at what runs already"})
		return statusFailed
	}
	cmd.Env = environment(false, nil, nil, outliveCI)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	o, err := cmd.Outlook(ctx)
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	text := outlookText(o)
	if asJSON {
		if o.Hazards == nil {
			o.Hazards = []detach.Hazard{}
		}
		data, err := json.Marshal(o)
		if err != nil {
			panic(err) // strings only
		}
		text = string(data) + "\n"
	}
	if failed := write(stdout, stderr, text); failed != statusStarted {
		return failed
	}
	if len(o.Hazards) > 0 {
		return hazardsFound
	}
	return hazardsNone
}

func outlookText(o detach.Outlook) string {
	var b strings.Builder
	fmt.Fprintf(&b, "via: %s", o.Via)
	if o.Via == detach.ViaSystemd && o.Setting != "" {
		fmt.Fprintf(&b, ", because %s has %s", quoteOdd(o.Unit), o.Setting)
	}
	fmt.Fprintln(&b)
	writeHazards(&b, o.Hazards)
	if len(o.Hazards) == 0 {
		fmt.Fprintln(&b, "no hazards are known")
	}
	return b.String()
}

func writeHazards(w io.Writer, hazards []detach.Hazard) {
	for _, h := range hazards {
		fmt.Fprintf(w, "hazard: %s\n", h.Text)
		if h.Remedy != "" {
			fmt.Fprintf(w, "  hint: %s\n", h.Remedy)
		}
	}
}
