package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// Tokens makes and revokes the tokens of programs, and knows who did what.
type Tokens interface {
	Add(ctx context.Context, name string, scope operators.Scope) (token string, err error)
	List() []operators.Token
	Revoke(ctx context.Context, nameOrID string) error
	AuditLog(ctx context.Context, before uint64, limit int) ([]ledger.AuditEntry, error)
	Record(ctx context.Context, action, object string) error
}

// record adds a command that succeeded to the audit log. It returns the command's error, or that of the log.
func (h handler) record(r *http.Request, action, object string, err error) error {
	if err != nil || h.Tokens == nil {
		return err
	}
	if err := h.Tokens.Record(r.Context(), action, object); err != nil {
		return fmt.Errorf("done, but missing in the audit log: %w", err)
	}
	return nil
}

// addTokens adds the commands of tokens.
func (h handler) addTokens(mux *http.ServeMux) {
	mux.HandleFunc("POST /tokens/add", func(w http.ResponseWriter, r *http.Request) {
		token, err := h.Tokens.Add(r.Context(), r.FormValue("name"), operators.Scope(r.FormValue("scope")))
		respond(w, token, err)
	})
	mux.HandleFunc("GET /tokens", func(w http.ResponseWriter, _ *http.Request) { respond(w, h.Tokens.List(), nil) })
	mux.HandleFunc("POST /tokens/revoke", func(w http.ResponseWriter, r *http.Request) {
		respond(w, nil, h.Tokens.Revoke(r.Context(), r.FormValue("token")))
	})
	mux.HandleFunc("GET /audit", func(w http.ResponseWriter, r *http.Request) {
		limit, err := strconv.Atoi(r.FormValue("limit"))
		if err != nil || limit < 1 {
			respond(w, nil, errkind.New(errkind.Invalid, "limit is not a number from 1 on"))
			return
		}
		entries, err := h.Tokens.AuditLog(r.Context(), 0, limit)
		respond(w, entries, err)
	})
}

// byShell lets the audit log say that the changes are made by a command of this machine.
func byShell(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(operators.With(r.Context(), operators.Actor{ID: operators.Shell})))
	})
}

// TokensClient is the part of the client for tokens and the audit log.
type TokensClient struct{ client *Client }

// Tokens returns that part.
func (c *Client) Tokens() TokensClient { return TokensClient{c} }

// Add makes a token and returns it.
func (t TokensClient) Add(ctx context.Context, name string, scope operators.Scope) (token string, err error) {
	query := url.Values{"name": {name}, "scope": {string(scope)}}
	return token, t.client.call(ctx, http.MethodPost, "/tokens/add", query, nil, &token)
}

// List lists the tokens, revoked ones last.
func (t TokensClient) List(ctx context.Context) (tokens []operators.Token, err error) {
	return tokens, t.client.call(ctx, http.MethodGet, "/tokens", nil, nil, &tokens)
}

// Revoke ends a token.
func (t TokensClient) Revoke(ctx context.Context, nameOrID string) error {
	var nothing any
	return t.client.call(ctx, http.MethodPost, "/tokens/revoke", url.Values{"token": {nameOrID}}, nil, &nothing)
}

// AuditLog returns who changed what, newest first.
func (t TokensClient) AuditLog(ctx context.Context, limit int) (entries []ledger.AuditEntry, err error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	return entries, t.client.call(ctx, http.MethodGet, "/audit", query, nil, &entries)
}
