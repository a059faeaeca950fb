package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/detachkit/detach/detach"
)

// healthPatience is how long a check may take by default.
const healthPatience = 10 * time.Second

// healthCheck is what --check asks: a condition, or a command.
type healthCheck struct {
	text      string
	condition detach.Condition // nil for a command
	command   string           // for sh -c
}

// health is the answer.
type health struct {
	Check  string `json:"check"`
	OK     *bool  `json:"ok"`               // nil if it was not asked
	Reason string `json:"reason,omitempty"` // why it does not hold, or was not asked
}

// notAsked is of a daemon that is not ready: whoever started it waits for that,
// and ends it if it takes too long.
const notAsked = "not asked, it is starting"

func parseCheck(s string) (healthCheck, error) {
	kind, value, _ := strings.Cut(s, "=")
	switch {
	case value == "":
	case kind == "tcp":
		c, err := detach.ParseTCP(value)
		return healthCheck{text: s, condition: c}, err
	case kind == "log":
		re, err := regexp.Compile(value)
		return healthCheck{text: s, condition: detach.LogLine{Regexp: re}}, err
	case kind == "cmd":
		return healthCheck{text: s, command: value}, nil
	}
	return healthCheck{}, errors.New("is none of tcp=[HOST:]PORT, log=REGEXP and cmd=COMMAND")
}

// ask asks about one daemon.
func (c healthCheck) ask(ctx context.Context, p *detach.Process, patience time.Duration) health {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	if c.condition != nil {
		err = p.Check(ctx, c.condition)
	} else {
		err = runCheck(ctx, c.command, p)
	}
	h := health{Check: c.text, OK: new(err == nil)}
	if err != nil {
		var e *detach.Error
		if errors.As(err, &e) {
			err = e.Err
		}
		h.Reason = err.Error()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			h.Reason = "no answer within " + patience.String()
		}
	}
	return h
}

// askAll asks all that run, some at a time, until the context ends.
func askAll(ctx context.Context, found []looked, checks []healthCheck, patience time.Duration) {
	const atOnce = 16
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range found {
		l := &found[i]
		if l.State == detach.Starting {
			for _, c := range checks {
				l.Health = append(l.Health, health{Check: c.text, Reason: notAsked})
			}
		}
		if l.State != detach.Running || len(checks) == 0 {
			continue
		}
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			for _, c := range checks {
				h := c.ask(ctx, l.process, patience)
				l.Health = append(l.Health, h)
				if !*h.OK {
					l.lsb = statusUnhealthy
				}
			}
		})
	}
	all.Wait()
}
