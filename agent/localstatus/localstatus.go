// Package localstatus is how commands speak to the running agent: HTTP over a socket in the state directory, which only the agent's
// own user may open, so that they work when the coordinator and the network are gone.
package localstatus

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
	"path/filepath"
	"time"
)

const (
	socketName   = "agent.sock"
	dialTimeout  = 2 * time.Second
	answerMax    = 16 << 20 // bytes of a status: some thousand edges, each with a reason
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
)

// ErrRunning says that another agent runs on a directory.
var ErrRunning = errors.New("another agent runs")

// Listen opens the socket in the directory. One that an earlier agent left is replaced; one that is in use is an error.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, socketName)
	if Running(dir) {
		return nil, fmt.Errorf("%w on %s", ErrRunning, dir)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the agent's socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the agent's socket: %w", err)
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

// Serve answers `agent status` with what status returns, until ctx ends.
func Serve[T any](ctx context.Context, l net.Listener, status func(context.Context) (T, error)) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		s, err := status(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s) // only a command that went away fails it
	})
	server := &http.Server{
		Handler: mux, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("the agent's socket: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	err := server.Shutdown(end)
	<-served
	return err
}

// Status asks the agent that runs on the directory.
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
		return s, unreached(dir, err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	switch {
	case err != nil:
		return s, fmt.Errorf("the agent's answer: %w", err)
	case response.StatusCode != http.StatusOK:
		return s, fmt.Errorf("the agent has no answer: %s", data)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("the agent's answer: %w", err)
	}
	return s, nil
}

// unreached says what to do about an agent that does not answer.
func unreached(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("not permitted to speak to the agent on %s: run the command as its user, or as root", dir)
	}
	var failed *net.OpError
	if errors.As(err, &failed) && failed.Op == "dial" {
		return fmt.Errorf("no agent runs on %s: start `agent run`, or name its directory with --state", dir)
	}
	return fmt.Errorf("the agent on %s: %w", dir, err)
}
