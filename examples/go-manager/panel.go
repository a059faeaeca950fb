package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/detachkit/detach/detach"
)

// panel serves the requests. It has settings, but no state.
type panel struct {
	folder  string // holds the folders of the servers
	command []string
	grace   time.Duration
}

func (p *panel) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /servers", answer(p.list))
	mux.HandleFunc("GET /servers/{name}", answer(p.onServer(show)))
	mux.HandleFunc("POST /servers/{name}/start", answer(p.onServer(start)))
	mux.HandleFunc("POST /servers/{name}/stop", answer(p.onServer(p.stop)))
	mux.HandleFunc("POST /servers/{name}/console", answer(p.onServer(typeOnConsole)))
	return mux
}

// status is the state of a server as it is now.
type status struct {
	Name   string     `json:"name"`
	Status string     `json:"status"`
	PID    int        `json:"pid,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	Error  string     `json:"error,omitempty"`
	Log    []string   `json:"log,omitempty"`
}

// statusOf tells of one of four states: running, stopped, unverified (see
// identified), and unknown where there is an error.
func statusOf(s *server) status {
	daemon, err := s.find()
	if err != nil {
		return status{Name: s.name(), Status: "unknown", Error: err.Error()}
	}
	if daemon == nil {
		return status{Name: s.name(), Status: "stopped"}
	}
	defer daemon.Close()
	if !identified(daemon) {
		return status{Name: s.name(), Status: "unverified", PID: daemon.PID}
	}
	return status{Name: s.name(), Status: "running", PID: daemon.PID, Since: &daemon.Record.Started}
}

func (p *panel) list(*http.Request) (any, error) {
	servers, err := p.servers()
	if err != nil {
		return nil, err
	}
	all := []status{}
	for _, s := range servers {
		all = append(all, statusOf(s))
	}
	return all, nil
}

func show(_ *http.Request, s *server) (any, error) {
	lines, err := s.logTail()
	if err != nil {
		return nil, err
	}
	status := statusOf(s)
	status.Log = lines
	return status, nil
}

func start(r *http.Request, s *server) (any, error) {
	daemon, err := s.start(r.Context())
	if err != nil {
		return nil, err
	}
	defer daemon.Close() // the pidfd only
	return struct {
		Name    string          `json:"name"`
		PID     int             `json:"pid"`
		Hazards []detach.Hazard `json:"hazards,omitempty"`
	}{s.name(), daemon.PID, daemon.Report.Hazards}, nil
}

func (p *panel) stop(r *http.Request, s *server) (any, error) {
	// A client that goes away must not shorten the time of grace.
	by, err := s.stop(context.WithoutCancel(r.Context()), p.grace)
	if err != nil {
		return nil, err
	}
	return map[string]string{"name": s.name(), "ended_by": by}, nil
}

func typeOnConsole(r *http.Request, s *server) (any, error) {
	var body struct {
		Line string `json:"line"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 8*maxLine)).Decode(&body); err != nil {
		return nil, errors.Join(errLine, err)
	}
	return map[string]string{"name": s.name(), "line": body.Line}, s.typeLine(body.Line)
}

// servers returns a server for each folder.
func (p *panel) servers() ([]*server, error) {
	entries, err := os.ReadDir(p.folder)
	if err != nil {
		return nil, err
	}
	var servers []*server
	for _, e := range entries {
		if e.IsDir() {
			servers = append(servers, &server{filepath.Join(p.folder, e.Name()), p.command})
		}
	}
	return servers, nil
}

var errNoServer = errors.New("there is no such server")

// onServer finds the server that the path of a request names.
func (p *panel) onServer(f func(*http.Request, *server) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		servers, err := p.servers()
		if err != nil {
			return nil, err
		}
		for _, s := range servers {
			if s.name() == r.PathValue("name") {
				return f(r, s)
			}
		}
		return nil, errNoServer
	}
}

// answer answers with what f returns, as JSON.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := f(r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(statusCode(err))
			body = map[string]string{"error": err.Error()}
		}
		// An error here means that the client is gone.
		_ = json.NewEncoder(w).Encode(body)
	}
}

func statusCode(err error) int {
	var running *detach.RunningError
	var conflict *conflictError
	var failed *detach.Error
	switch {
	case errors.Is(err, errNoServer):
		return http.StatusNotFound
	case errors.Is(err, errLine):
		return http.StatusUnprocessableEntity
	case errors.As(err, &running), errors.As(err, &conflict):
		return http.StatusConflict
	case errors.Is(err, detach.ErrExited):
		return http.StatusUnprocessableEntity // the command ended at once
	case errors.As(err, &failed) && (failed.Op == "find" || failed.Op == "exec"):
		return http.StatusUnprocessableEntity // it cannot be run
	}
	return http.StatusInternalServerError
}
