// Package localstatus connects commands to the running agent: HTTP over a Unix socket in the state directory, which
// only the agent's own user can open, so that `agent status` works while the coordinator and the network are down.
// The agent calls Listen and Serve, and commands call Status.
package localstatus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
)

const (
	socketName   = "agent.sock"
	dialTimeout  = 2 * time.Second
	answerMax    = 16 << 20 // bytes of a status, which is some megabytes for ten thousand edges
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
)

// ErrRunning is returned by Listen where another agent runs on the directory.
var ErrRunning = errors.New("another agent runs")

// Listen opens the socket in the directory. It replaces one that an earlier agent left behind; one in use is
// ErrRunning.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketName)
	if Running(dir) {
		return nil, fmt.Errorf("%w on %s", ErrRunning, dir)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the agent's socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the agent's socket: %w", err)
	}
	return l, os.Chmod(path, 0o600)
}

// Running reports whether an agent runs on the directory.
func Running(dir string) bool {
	conn, err := net.DialTimeout("unix", filepath.Join(dir, socketName), dialTimeout)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Serve answers Status with what status returns, until ctx ends. What the HTTP server reports goes to the logger, one
// line each: it would write to standard error otherwise, between the lines of JSON.
func Serve[T any](
	ctx context.Context, l net.Listener, logger zerolog.Logger, status func(context.Context) (T, error),
) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		s, err := status(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s) // it fails only where the command has ended
	})
	server := &http.Server{
		Handler: mux, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(logger.With().Str("level", zerolog.LevelWarnValue).Logger(), "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the agent's socket: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	err := server.Shutdown(end)
	<-served
	return err
}

// Status asks the agent that runs on the directory for its status. T is the type that the agent gave to Serve.
func Status[T any](ctx context.Context, dir string) (s T, err error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", filepath.Join(dir, socketName))
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: writeTimeout}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/status", nil)
	if err != nil {
		return s, err
	}
	response, err := client.Do(request)
	if err != nil {
		return s, dialError(dir, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	switch {
	case err != nil:
		return s, fmt.Errorf("read the agent's status: %w", err)
	case response.StatusCode != http.StatusOK:
		return s, fmt.Errorf("the agent cannot answer: %s", data)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read the agent's status: %w", err)
	}
	return s, nil
}

// dialError says what to do about an agent that does not answer.
func dialError(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("not permitted to connect to the agent on %s: run the command as its user, or as root", dir)
	}
	var failed *net.OpError
	if errors.As(err, &failed) && failed.Op == "dial" {
		return fmt.Errorf("no agent runs on %s: start `agent run`, or name its directory with --state", dir)
	}
	return fmt.Errorf("ask the agent on %s: %w", dir, err)
}
