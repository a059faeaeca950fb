package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// endSignals are the signals that ask detach to end. Those that it was started
// to ignore, as by nohup(1) or in the background of a script, are not among
// them: to be notified of a signal undoes that. The runtime tells of SIGHUP and
// SIGINT, and has undone it for SIGTERM before anybody could ask.
var endSignals = notIgnored(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)

func notIgnored(signals ...os.Signal) []os.Signal {
	return slices.DeleteFunc(signals, signal.Ignored)
}

// onSignal has those of these signals sent to the channel that detach was not
// started to ignore.
func onSignal(to chan<- os.Signal, signals ...os.Signal) {
	for _, s := range signals {
		if slices.Contains(endSignals, s) {
			signal.Notify(to, s)
		}
	}
}

// interruptible returns a context that a signal ends which asks detach to end.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	onSignal(signals, endSignals...)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}
