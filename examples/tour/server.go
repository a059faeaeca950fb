//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	beat = 100 * time.Millisecond // how often the server writes to its log

	// lifetime bounds what is left where not even the tour could tidy up,
	// because it was killed itself.
	lifetime = 5 * time.Minute

	listening = "listening on "       // what the server says before its address
	goodbye   = "goodbye after visit" // what it says when it is asked to stop
)

// answer is what the server tells each visitor. All of it would be different
// if the server had been started again.
type answer struct {
	PID    int           `json:"pid"`
	Uptime time.Duration `json:"uptime"`
	Visits int64         `json:"visits"`
}

// serve is the server: it answers HTTP requests and writes a line to its log at
// every beat, until it gets SIGTERM. It also ends when its folder is removed,
// so that none is left of a tour that was interrupted while it was started.
func serve(log io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, lifetime)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "%shttp://%s/\n", listening, listener.Addr())

	started := time.Now()
	var visits atomic.Int64
	failed := make(chan error, 1)
	go func() {
		failed <- http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			// Nobody is left to be told that a visitor went away.
			_ = json.NewEncoder(w).Encode(answer{os.Getpid(), time.Since(started), visits.Add(1)})
		}))
	}()
	for beats := time.Tick(beat); ; {
		select {
		case <-beats:
			if _, err := os.Getwd(); errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			fmt.Fprintf(log, "up %v\n", time.Since(started).Round(beat))
		case <-ctx.Done():
			fmt.Fprintf(log, "%s %d\n", goodbye, visits.Load())
			return nil
		case err := <-failed:
			return err
		}
	}
}

// visitor makes a connection of its own for each request, as different
// visitors do.
var visitor = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// visit asks the server.
func visit(ctx context.Context, url string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	response, err := visitor.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	var a answer
	return a, json.NewDecoder(response.Body).Decode(&a)
}
