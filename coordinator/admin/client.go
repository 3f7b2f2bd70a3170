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
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// Client speaks to the coordinator that runs on a data directory.
type Client struct {
	dir  string
	http http.Client
}

// NewClient is a client for the directory.
func NewClient(dir string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", filepath.Join(dir, SocketName))
	}
	return &Client{dir: dir, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// State is what the coordinator holds, or held at a time that is not zero.
func (c *Client) State(ctx context.Context, at time.Time) (s State, err error) {
	query := url.Values{}
	if !at.IsZero() {
		query.Set("at", at.Format(time.RFC3339Nano))
	}
	return s, c.call(ctx, http.MethodGet, "/state", query, nil, &s)
}

// LastChange is the latest catalog that changed something of the host by the time; nil when none is on record.
func (c *Client) LastChange(ctx context.Context, host string, at time.Time) (change *ledger.Change, err error) {
	return change, c.call(ctx, http.MethodGet, "/change", url.Values{"host": {host}, "at": {at.Format(time.RFC3339Nano)}}, nil, &change)
}

// Transitions lists the newest transitions of the host, oldest first.
func (c *Client) Transitions(ctx context.Context, host string, limit int) (out []mesh.Transition, err error) {
	return out, c.call(ctx, http.MethodGet, "/transitions", url.Values{"host": {host}, "limit": {strconv.Itoa(limit)}}, nil, &out)
}

// Invite makes a token for the host.
func (c *Client) Invite(ctx context.Context, host string) (token string, err error) {
	return token, c.call(ctx, http.MethodPost, "/invite", url.Values{"host": {host}}, nil, &token)
}

// Revoke ends the membership of the host's agent, and tells whether that was so already.
func (c *Client) Revoke(ctx context.Context, host string) (already bool, err error) {
	return already, c.call(ctx, http.MethodPost, "/revoke", url.Values{"host": {host}}, nil, &already)
}

// RotateGossipKey begins to give the agents another gossip key, and tells when the old one will have ended.
func (c *Client) RotateGossipKey(ctx context.Context) (done time.Time, err error) {
	return done, c.call(ctx, http.MethodPost, "/rotate-gossip-key", nil, nil, &done)
}

// Apply puts a catalog in force and lists what changed.
func (c *Client) Apply(ctx context.Context, next *catalog.Catalog, source string, prune bool) (changes []catalog.Change, err error) {
	data, err := catalog.Encode(next)
	if err != nil {
		return nil, err
	}
	return changes, c.call(ctx, http.MethodPost, "/apply", url.Values{"source": {source}, "prune": {strconv.FormatBool(prune)}}, data, &changes)
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://coordinator"+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreached(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, bodyMax))
	switch {
	case err != nil:
		return fmt.Errorf("the coordinator's answer: %w", err)
	case response.StatusCode != http.StatusOK:
		return errors.New(string(data))
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("the coordinator's answer: %w", err)
	}
	return nil
}

// unreached says what to do about a coordinator that does not answer.
func (c *Client) unreached(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("not permitted to speak to the coordinator on %s: run the command as its user", c.dir)
	}
	var failed *net.OpError
	if errors.As(err, &failed) {
		return fmt.Errorf("no coordinator runs on %s: start `coordinator serve`, or name its directory with --data", c.dir)
	}
	return err
}
