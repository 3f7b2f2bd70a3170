package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Client sends commands to the coordinator that runs on a data directory.
type Client struct {
	dir  string
	http http.Client
}

// NewClient returns a client for the directory.
func NewClient(dir string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", filepath.Join(dir, SocketName))
	}
	return &Client{dir: dir, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Dir returns the data directory.
func (c *Client) Dir() string { return c.dir }

// State returns the present state, or that at a time that is not zero.
func (c *Client) State(ctx context.Context, at time.Time) (s State, err error) {
	query := url.Values{}
	if !at.IsZero() {
		query.Set("at", at.Format(time.RFC3339Nano))
	}
	return s, c.call(ctx, http.MethodGet, "/state", query, nil, &s)
}

// LastChange returns the latest change of the catalog that affected the host, until the time; nil if none is on record.
func (c *Client) LastChange(ctx context.Context, host string, at time.Time) (change *ledger.Change, err error) {
	return change, c.call(ctx, http.MethodGet, "/change", url.Values{"host": {host}, "at": {at.Format(time.RFC3339Nano)}},
		nil, &change)
}

// Transitions returns the newest transitions of the host, oldest first.
func (c *Client) Transitions(ctx context.Context, host string, limit int) (out []mesh.Transition, err error) {
	return out, c.call(ctx, http.MethodGet, "/transitions", url.Values{"host": {host}, "limit": {strconv.Itoa(limit)}},
		nil, &out)
}

// Trace returns what led to a transition of a check, in the order in which the judge met it.
func Trace(ctx context.Context, c *Client, t mesh.Transition) (events []judge.Event, err error) {
	return events, c.call(ctx, http.MethodGet, "/trace", url.Values{
		"host": {t.Host}, "check": {t.Check}, "sequence": {strconv.FormatUint(t.Sequence, 10)},
	}, nil, &events)
}

// Invite creates a join token for the host.
func (c *Client) Invite(ctx context.Context, host string) (token string, err error) {
	return token, c.call(ctx, http.MethodPost, "/invite", url.Values{"host": {host}}, nil, &token)
}

// Revoke ends the membership of the host's agent, and reports whether it had ended before.
func (c *Client) Revoke(ctx context.Context, host string) (already bool, err error) {
	return already, c.call(ctx, http.MethodPost, "/revoke", url.Values{"host": {host}}, nil, &already)
}

// RotateGossipKey starts to replace the gossip key, and returns when the old key will no longer be accepted.
func (c *Client) RotateGossipKey(ctx context.Context) (done time.Time, err error) {
	return done, c.call(ctx, http.MethodPost, "/rotate-gossip-key", nil, nil, &done)
}

// Apply puts a catalog in force and returns what changed.
func (c *Client) Apply(
	ctx context.Context, next *catalog.Catalog, source string, prune bool,
) (changes []catalog.Change, err error) {
	data, err := catalog.Encode(next)
	if err != nil {
		return nil, err
	}
	return changes, c.call(ctx, http.MethodPost, "/apply",
		url.Values{"source": {source}, "prune": {strconv.FormatBool(prune)}}, data, &changes)
}

// ApplyFile returns what the file changes, if the coordinator follows it. With confirm, the file is put in force at
// once.
func (c *Client) ApplyFile(ctx context.Context, file string, confirm bool) (f Followed, err error) {
	return f, c.call(ctx, http.MethodPost, "/apply-file",
		url.Values{"file": {file}, "confirm": {strconv.FormatBool(confirm)}}, nil, &f)
}

// call sends a command and decodes the answer. An error of the coordinator is returned as its text, whatever its
// status.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://coordinator"+path+"?"+query.Encode(),
		bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.connectError(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, bodyMax))
	switch {
	case err != nil:
		return fmt.Errorf("read the coordinator's answer: %w", err)
	case response.StatusCode != http.StatusOK:
		return errors.New(string(data))
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read the coordinator's answer: %w", err)
	}
	return nil
}

// connectError explains why the coordinator cannot be reached, and what to do.
func (c *Client) connectError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("no permission to reach the coordinator on %s: run the command as its user", c.dir)
	}
	var failed *net.OpError
	if errors.As(err, &failed) {
		return fmt.Errorf("no coordinator runs on %s: start `coordinator serve`, or name its directory with --data", c.dir)
	}
	return err
}
