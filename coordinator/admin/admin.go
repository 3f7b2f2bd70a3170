// Package admin connects commands to the running coordinator: HTTP over a Unix socket in the data directory, which only
// the coordinator's own user can open. NewHandler is the coordinator's side and Client the commands'.
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
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// Backend is the running coordinator as commands use it. The errors of its parts have a kind of package errkind.
type Backend struct {
	Engine      Engine
	Replayer    Replayer
	Catalogs    Catalogs
	History     History
	Problems    func() []string // of the mesh itself, for operators
	Enroller    Enroller
	Backup      Backup
	Editor      Editor
	Incidents   IncidentEditor
	Maintenance Maintenance
	Notifier    Notifier
	Tokens      Tokens
	Site        http.Handler // of the public, for copies of it
}

// Engine returns the present catalog and verdicts.
type Engine interface {
	Current() (*catalog.Catalog, *mesh.Snapshot)
}

// Replayer returns the catalog and the verdicts at a past time, and what led to a transition.
type Replayer interface {
	At(ctx context.Context, at time.Time) (*catalog.Catalog, *mesh.Snapshot, error)
	Trace(ctx context.Context, t mesh.Transition) ([]judge.Event, error)
}

// Catalogs returns the changes of the catalog and makes new ones.
type Catalogs interface {
	LastChange(ctx context.Context, host string, at time.Time) (change ledger.Change, found bool, err error)
	Apply(ctx context.Context, c *catalog.Catalog, source string, prune bool) ([]catalog.Change, error)
	ApplyFile(ctx context.Context, file string, confirm bool) (changes []catalog.Change, follows bool, err error)
}

// History reads the ledger in wall time.
type History interface {
	Transitions(ctx context.Context, host string, since time.Time, limit int) ([]mesh.Transition, error)
	DecidedAt(ctx context.Context, sequence uint64) ([]mesh.Transition, error)
	Uptime(ctx context.Context, c *catalog.Catalog, q sla.Query) (sla.Report, error)
}

// Enroller changes which agents belong to the mesh.
type Enroller interface {
	Invite(ctx context.Context, host string) (token string, err error)
	Revoke(ctx context.Context, host string) (already bool, err error)
	RotateGossipKey(ctx context.Context) (done time.Time, err error)
}

// State is the catalog in force and the verdicts, at one time.
type State struct {
	Catalog  *catalog.Catalog `json:"catalog"`
	Snapshot *mesh.Snapshot   `json:"snapshot"`
	Problems []string         `json:"problems"` // of the mesh itself, for operators; only in the present state
}

// Followed is what a file changes in the catalog in force, if the coordinator follows it.
type Followed struct {
	Follows bool             `json:"follows"`
	Changes []catalog.Change `json:"changes,omitempty"`
}

// SocketName is the name of the socket in the data directory.
const SocketName = "admin.sock"

const (
	bodyMax     = 64 << 20 // bytes of a catalog or a state: several times those of a large mesh
	limitMax    = 1000     // transitions in one answer
	dialTimeout = 2 * time.Second
)

// Listen opens the socket in the directory. It replaces one that an earlier coordinator left behind, and fails if one
// is in use.
func Listen(dir string) (net.Listener, error) {
	path := socketPath(dir)
	if conn, err := net.DialTimeout("unix", path, dialTimeout); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another coordinator runs on %s", dir)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	return l, os.Chmod(path, 0o600)
}

// socketPath returns the path of the directory's socket: absolute, for Running to find it, unless that is too long for
// the address of a socket.
func socketPath(dir string) string {
	const longest = 104 // of macOS; Linux has 108
	path := filepath.Join(dir, SocketName)
	if absolute, err := filepath.Abs(path); err == nil && len(absolute) < longest {
		return absolute
	}
	return path
}

// NewHandler returns the handler of all commands.
func NewHandler(b Backend) http.Handler {
	h := handler{b}
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(w http.ResponseWriter, r *http.Request) (any, error){
		"GET /state":              h.state,
		"GET /change":             h.lastChange,
		"GET /transitions":        h.transitions,
		"GET /trace":              h.trace,
		"GET /uptime":             h.uptime,
		"POST /invite":            h.invite,
		"POST /revoke":            h.revoke,
		"POST /rotate-gossip-key": h.rotateGossipKey,
		"POST /apply":             h.apply,
		"POST /apply-file":        h.applyFile,
		"GET /backup":             h.backupParts,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			value, err := serve(w, r)
			respond(w, value, err)
		})
	}
	mux.HandleFunc("GET /backup/part", h.backupPart)
	if b.Site != nil {
		mux.Handle("GET "+sitePath+"/", http.StripPrefix(sitePath, b.Site))
	}
	h.addPosts(mux)
	h.addMaintenance(mux)
	h.addIncidents(mux)
	h.addTokens(mux)
	h.addNotify(mux)
	return byShell(mux)
}

// handler has one method for each command.
type handler struct{ Backend }

func (h handler) state(_ http.ResponseWriter, r *http.Request) (any, error) {
	text := r.FormValue("at")
	if text == "" {
		c, snapshot := h.Engine.Current()
		return State{c, snapshot, h.Problems()}, nil
	}
	at, err := parseTime(text)
	if err != nil {
		return nil, err
	}
	c, snapshot, err := h.Replayer.At(r.Context(), at)
	return State{Catalog: c, Snapshot: snapshot}, err
}

// lastChange returns nil if no catalog on record changed the host.
func (h handler) lastChange(_ http.ResponseWriter, r *http.Request) (any, error) {
	at, err := parseTime(r.FormValue("at"))
	if err != nil {
		return nil, err
	}
	change, ok, err := h.Catalogs.LastChange(r.Context(), mesh.Key(r.FormValue("host")), at)
	if err != nil || !ok {
		return nil, err
	}
	return change, nil
}

func (h handler) transitions(_ http.ResponseWriter, r *http.Request) (any, error) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 {
		return nil, errkind.New(errkind.Invalid,
			fmt.Sprintf("limit %q: write a number from 1 to %d", r.FormValue("limit"), limitMax))
	}
	return h.History.Transitions(r.Context(), mesh.Key(r.FormValue("host")), time.Time{}, min(limit, limitMax))
}

// trace returns what led to the change that a check's verdict made at a sequence of the stream.
func (h handler) trace(_ http.ResponseWriter, r *http.Request) (any, error) {
	sequence, err := strconv.ParseUint(r.FormValue("sequence"), 10, 64)
	if err != nil {
		return nil, errkind.New(errkind.Invalid, fmt.Sprintf("sequence %q: write a number", r.FormValue("sequence")))
	}
	all, err := h.History.DecidedAt(r.Context(), sequence)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if mesh.Key(t.Host) == mesh.Key(r.FormValue("host")) && t.Check == r.FormValue("check") {
			return h.Replayer.Trace(r.Context(), t)
		}
	}
	return nil, errkind.New(errkind.NotFound, fmt.Sprintf("no verdict of the check changed at message %d", sequence))
}

func (h handler) invite(_ http.ResponseWriter, r *http.Request) (any, error) {
	token, err := h.Enroller.Invite(r.Context(), r.FormValue("host"))
	return token, h.record(r, "agent.invite", r.FormValue("host"), err)
}

func (h handler) revoke(_ http.ResponseWriter, r *http.Request) (any, error) {
	already, err := h.Enroller.Revoke(r.Context(), r.FormValue("host"))
	return already, h.record(r, "agent.revoke", r.FormValue("host"), err)
}

func (h handler) rotateGossipKey(_ http.ResponseWriter, r *http.Request) (any, error) {
	done, err := h.Enroller.RotateGossipKey(r.Context())
	return done, h.record(r, "gossip-key.rotate", "", err)
}

func (h handler) apply(w http.ResponseWriter, r *http.Request) (any, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if err != nil {
		return nil, errkind.Wrap(errkind.Invalid, fmt.Errorf("read the catalog: %w", err))
	}
	c, err := catalog.Decode(data)
	if err != nil {
		return nil, errkind.Wrap(errkind.Invalid, err)
	}
	query := r.URL.Query()
	changes, err := h.Catalogs.Apply(r.Context(), c, query.Get("source"), query.Get("prune") == "true")
	return changes, h.record(r, "catalog.apply", c.Revision, err)
}

func (h handler) applyFile(_ http.ResponseWriter, r *http.Request) (any, error) {
	query := r.URL.Query()
	changes, follows, err := h.Catalogs.ApplyFile(r.Context(), query.Get("file"), query.Get("confirm") == "true")
	if follows && query.Get("confirm") == "true" {
		err = h.record(r, "catalog.confirm", "", err)
	}
	return Followed{Follows: follows, Changes: changes}, err
}

func parseTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, errkind.New(errkind.Invalid, fmt.Sprintf("time %q: write it as 2006-01-02T15:04:05Z", text))
	}
	return at, nil
}

// respond writes the value as JSON, or the error's text, which the client prints as it is.
func respond(w http.ResponseWriter, value any, err error) {
	if err != nil {
		w.WriteHeader(status(err))
		fmt.Fprint(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // it fails only if the client has gone
}

// status returns the HTTP status of a failure.
func status(err error) int {
	switch errkind.Of(err) {
	case errkind.Invalid:
		return http.StatusBadRequest
	case errkind.NotFound:
		return http.StatusNotFound
	case errkind.Conflict:
		return http.StatusConflict
	case errkind.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
