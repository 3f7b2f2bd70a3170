package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Notifier sends notifications, and accepts acknowledgements and silences.
type Notifier interface {
	Acknowledge(ctx context.Context, id, by string) error
	Silence(ctx context.Context, h notify.Hush) (id string, err error)
	Unsilence(ctx context.Context, id string) error
	Silences(ctx context.Context) ([]ledger.Silence, error)
	Test(ctx context.Context, channel string) ([]notify.Tested, error)
	Explain(ctx context.Context, host string) ([]notify.Explained, error)
}

// addNotify adds the commands of notifications.
func (h handler) addNotify(mux *http.ServeMux) {
	mux.HandleFunc("POST /ack", func(w http.ResponseWriter, r *http.Request) {
		respond(w, nil, h.Notifier.Acknowledge(r.Context(), r.FormValue("id"), "command"))
	})
	mux.HandleFunc("POST /silences/add", func(w http.ResponseWriter, r *http.Request) {
		var hush notify.Hush
		id, err := "", decode(w, r, &hush)
		if err == nil {
			id, err = h.Notifier.Silence(r.Context(), hush)
		}
		respond(w, id, err)
	})
	mux.HandleFunc("POST /silences/remove", func(w http.ResponseWriter, r *http.Request) {
		respond(w, nil, h.Notifier.Unsilence(r.Context(), r.FormValue("id")))
	})
	mux.HandleFunc("GET /silences", func(w http.ResponseWriter, r *http.Request) {
		all, err := h.Notifier.Silences(r.Context())
		respond(w, all, err)
	})
	mux.HandleFunc("POST /notify/test", func(w http.ResponseWriter, r *http.Request) {
		tested, err := h.Notifier.Test(r.Context(), r.FormValue("channel"))
		respond(w, tested, err)
	})
	mux.HandleFunc("GET /notify/explain", func(w http.ResponseWriter, r *http.Request) {
		explained, err := h.Notifier.Explain(r.Context(), r.FormValue("host"))
		respond(w, explained, err)
	})
}

// NotifyClient has the commands of notifications.
type NotifyClient struct{ client *Client }

// NewNotifyClient returns the commands of notifications of a client.
func NewNotifyClient(c *Client) NotifyClient { return NotifyClient{c} }

// Acknowledge stops repeats and escalations of an open incident.
func (n NotifyClient) Acknowledge(ctx context.Context, id string) error {
	var nothing any
	return n.client.call(ctx, http.MethodPost, "/ack", url.Values{"id": {id}}, nil, &nothing)
}

// Silence suppresses notifications about what it matches, and returns the silence's id.
func (n NotifyClient) Silence(ctx context.Context, h notify.Hush) (id string, err error) {
	return id, n.client.send(ctx, "/silences/add", h, &id)
}

// Unsilence ends a silence.
func (n NotifyClient) Unsilence(ctx context.Context, id string) error {
	var nothing any
	return n.client.call(ctx, http.MethodPost, "/silences/remove", url.Values{"id": {id}}, nil, &nothing)
}

// Silences lists the silences in force.
func (n NotifyClient) Silences(ctx context.Context) (all []ledger.Silence, err error) {
	return all, n.client.call(ctx, http.MethodGet, "/silences", nil, nil, &all)
}

// Test sends a test message to a channel, or for "" to all.
func (n NotifyClient) Test(ctx context.Context, channel string) (tested []notify.Tested, err error) {
	return tested, n.client.call(ctx, http.MethodPost, "/notify/test", url.Values{"channel": {channel}}, nil, &tested)
}

// Explain returns which routes take an outage of a host.
func (n NotifyClient) Explain(ctx context.Context, host string) (explained []notify.Explained, err error) {
	return explained, n.client.call(ctx, http.MethodGet, "/notify/explain", url.Values{"host": {host}}, nil, &explained)
}
