// Package admin is how commands speak to the running coordinator: HTTP over a socket in the data directory, which only the
// coordinator's own user may open.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Backend is the coordinator that the commands reach.
type Backend struct {
	Engine   Engine
	Enroller Enroller
	Backup   Backup
}

// Engine shows and changes what the coordinator judges.
type Engine interface {
	Current() (*catalog.Catalog, *mesh.Snapshot)
	At(ctx context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error)
	LastChange(ctx context.Context, host string, at time.Time) (change ledger.Change, ok bool, err error)
	Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error)
	Apply(ctx context.Context, c *catalog.Catalog, source string, prune bool) ([]catalog.Change, error)
	Problems() []string
}

// Enroller changes which agents are members.
type Enroller interface {
	Invite(ctx context.Context, host string) (token string, err error)
	Revoke(ctx context.Context, host string) (already bool, err error)
	RotateGossipKey(ctx context.Context) (done time.Time, err error)
}

// State is what the coordinator holds.
type State struct {
	Catalog  *catalog.Catalog `json:"catalog"`
	Snapshot *mesh.Snapshot   `json:"snapshot"`
	Problems []string         `json:"problems"`
}

// SocketName is the socket's file in the data directory.
const SocketName = "admin.sock"

const (
	bodyMax     = 64 << 20 // bytes of a catalog, or of a state
	limitMax    = 1000     // transitions
	dialTimeout = 2 * time.Second
)

// Listen opens the socket in the directory. One that an earlier coordinator left is replaced; one that is in use is an error.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if conn, err := net.DialTimeout("unix", path, dialTimeout); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another coordinator runs on %s", dir)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the admin socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the admin socket: %w", err)
	}
	return l, os.Chmod(path, 0o600)
}

// NewHandler answers the commands.
func NewHandler(b Backend) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		state, err := stateAt(r.Context(), b, r.FormValue("at"))
		answer(w, state, err)
	})
	mux.HandleFunc("GET /change", func(w http.ResponseWriter, r *http.Request) {
		at, err := time.Parse(time.RFC3339Nano, r.FormValue("at"))
		if err != nil {
			answer(w, nil, err)
			return
		}
		change, ok, err := b.Engine.LastChange(r.Context(), mesh.Key(r.FormValue("host")), at)
		if !ok {
			answer(w, nil, err)
			return
		}
		answer(w, change, err)
	})
	mux.HandleFunc("GET /transitions", func(w http.ResponseWriter, r *http.Request) {
		limit, err := strconv.Atoi(r.FormValue("limit"))
		if err != nil || limit < 1 || limit > limitMax {
			limit = limitMax
		}
		transitions, err := b.Engine.Transitions(r.Context(), mesh.Key(r.FormValue("host")), time.Time{}, limit)
		answer(w, transitions, err)
	})
	mux.HandleFunc("POST /invite", func(w http.ResponseWriter, r *http.Request) {
		token, err := b.Enroller.Invite(r.Context(), r.FormValue("host"))
		answer(w, token, err)
	})
	mux.HandleFunc("POST /rotate-gossip-key", func(w http.ResponseWriter, r *http.Request) {
		done, err := b.Enroller.RotateGossipKey(r.Context())
		answer(w, done, err)
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		already, err := b.Enroller.Revoke(r.Context(), r.FormValue("host"))
		answer(w, already, err)
	})
	handleBackup(mux, b.Backup)
	mux.HandleFunc("POST /apply", func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		if err != nil {
			answer(w, nil, err)
			return
		}
		c, err := catalog.Decode(data)
		if err != nil {
			answer(w, nil, err)
			return
		}
		query := r.URL.Query()
		changes, err := b.Engine.Apply(r.Context(), c, query.Get("source"), query.Get("prune") == "true")
		answer(w, changes, err)
	})
	return mux
}

// stateAt is what the coordinator holds, or held at a time.
func stateAt(ctx context.Context, b Backend, at string) (s State, err error) {
	if at == "" {
		c, snapshot := b.Engine.Current()
		return State{c, snapshot, b.Engine.Problems()}, nil
	}
	when, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return s, err
	}
	s.Catalog, s.Snapshot, err = b.Engine.At(ctx, when)
	return s, err
}

// answer writes the value, or why there is none: the words are for the person who typed the command.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // only a command that went away fails it
}
