package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/operators"
	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/ratelimit"
)

// Tokens says what a request's token permits, and what was done with it.
type Tokens interface {
	Authenticate(token string) (t operators.Token, known bool, err error)
	Earlier(ctx context.Context, a operators.Actor) ([]ledger.AuditEntry, error)
	AuditLog(ctx context.Context, before uint64, limit int) ([]ledger.AuditEntry, error)
}

const (
	bodyMax = 1 << 20 // bytes of a request: several times the longest text in JSON
	keyMax  = 255     // characters of an idempotency key
	keyName = "Idempotency-Key"
)

// access admits requests with a token.
type access struct {
	tokens Tokens // nil while the coordinator cannot write
	log    zerolog.Logger

	mu   sync.Mutex
	busy map[string]bool // idempotency keys of requests that are being answered
}

// admit returns the context of a request whose token permits what the scope says.
func (x *access) admit(w http.ResponseWriter, r *http.Request, scope operators.Scope) (context.Context, error) {
	if x.tokens == nil {
		return nil, web.Errorf(http.StatusServiceUnavailable, "the coordinator cannot read tokens yet: try again later")
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Authorization")
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		h.Set("WWW-Authenticate", `Bearer realm="probemesh"`)
		return nil, web.Errorf(http.StatusUnauthorized,
			"no token: send the header \"Authorization: Bearer TOKEN\" with a token of `coordinator token add`")
	}
	t, known, err := x.tokens.Authenticate(strings.TrimSpace(token))
	switch {
	case err != nil:
		h.Set("Retry-After", "1")
		return nil, web.Errorf(http.StatusTooManyRequests, "%v", err)
	case !known:
		h.Set("WWW-Authenticate", `Bearer realm="probemesh", error="invalid_token"`)
		return nil, web.Errorf(http.StatusUnauthorized,
			"the token is unknown or revoked: make one with `coordinator token add`")
	case !t.Scope.Permits(scope):
		h.Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="probemesh", error="insufficient_scope", scope="%s"`, scope))
		return nil, web.Errorf(http.StatusForbidden, "the token has the scope %s, and this needs %s", t.Scope, scope)
	}
	if r.TLS == nil && !ratelimit.Client(r.RemoteAddr).Addr().IsLoopback() {
		h.Set("Warning", `299 probemesh "the token was sent without TLS: anybody on the way could read it"`)
		x.log.Warn().Str("token", t.Name).Str("client", ratelimit.Client(r.RemoteAddr).Addr().String()).
			Msg("API token sent without TLS: serve with --tls-cert or behind a TLS proxy, and replace the token")
	}
	return operators.With(r.Context(), operators.Actor{ID: t.ID}), nil
}

// reads is a handler for requests whose token permits reading.
func (x *access) reads(answer func(ctx context.Context, r *http.Request) (any, error)) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, err := x.admit(w, r, operators.Read)
		if err != nil {
			return err
		}
		value, err := answer(ctx, r)
		if err != nil {
			return failure(err)
		}
		return web.WriteJSON(w, http.StatusOK, value)
	}
}

// change is what a writing request does. do returns the id of what it changed, and answer what the client gets; a
// repeat of the request gets the answer alone, and one for a preview what do returns.
type change[T any] struct {
	status int
	do     func(ctx context.Context, r *http.Request, body T) (outcome, error)
	answer func(ctx context.Context, id string) (any, error)
}

// writes is a handler for requests whose token permits writing.
func writes[T any](x *access, c change[T]) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, err := x.admit(w, r, operators.Write)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
		if err != nil {
			return badBody(err)
		}
		var body T
		if err := decode(data, &body); err != nil {
			return err
		}
		if asked, ok := any(body).(previewable); ok && asked.previews() {
			out, err := c.do(ctx, r, body)
			if err != nil {
				return failure(err)
			}
			return web.WriteJSON(w, http.StatusOK, out.preview)
		}
		ctx, done, err := x.once(ctx, r, data)
		if err != nil {
			return err
		}
		defer done.release()
		id := done.id
		if id == "" {
			out, err := c.do(ctx, r, body)
			if err != nil {
				return failure(err)
			}
			id = out.id
		} else {
			w.Header().Set("Idempotent-Replayed", "true")
		}
		value, err := c.answer(ctx, id)
		if err != nil {
			return failure(err)
		}
		if c.status == http.StatusCreated && r.URL.Path == strings.TrimSuffix(r.Pattern[len("POST "):], "/") {
			w.Header().Set("Location", r.URL.Path+"/"+id)
		}
		return web.WriteJSON(w, c.status, value)
	}
}

// earlier is what a request with the same idempotency key did.
type earlier struct {
	id      string // of what it changed; "": there was no such request
	release func()
}

// once looks for an earlier request with the idempotency key of this one, if it has one. It refuses a request whose
// key another one has right now. The caller calls release.
func (x *access) once(ctx context.Context, r *http.Request, body []byte) (context.Context, earlier, error) {
	none := earlier{release: func() {}}
	key := r.Header.Get(keyName)
	if key == "" {
		return ctx, none, nil
	}
	if len(key) > keyMax {
		return ctx, none, web.Errorf(http.StatusBadRequest,
			"%s has %d characters: send at most %d", keyName, len(key), keyMax)
	}
	actor, _ := operators.ActorOf(ctx)
	actor.Key = digest(actor.ID, key)
	actor.Request = digest(r.Method, r.URL.Path, string(body))
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.busy[actor.Key] {
		return ctx, none, web.Errorf(http.StatusConflict,
			"a request with this %s is being answered: repeat it in a second", keyName)
	}
	done, err := x.tokens.Earlier(ctx, actor)
	if err != nil {
		return ctx, none, failure(err)
	}
	if len(done) > 0 {
		return ctx, earlier{done[0].Object, func() {}}, nil
	}
	x.busy[actor.Key] = true
	release := func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.busy, actor.Key)
	}
	return operators.With(ctx, actor), earlier{release: release}, nil
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// decode reads a request's JSON. It refuses what it does not know: a key with a mistake in it would be ignored
// otherwise.
func decode(data []byte, into any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badBody(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return web.Errorf(http.StatusBadRequest, "the request has more after its JSON object")
	}
	return nil
}

// badBody explains what is wrong with a request's body.
func badBody(err error) error {
	var large *http.MaxBytesError
	var wrong *json.UnmarshalTypeError
	const unknown = "json: unknown field "
	switch text := err.Error(); {
	case errors.As(err, &large):
		return web.Errorf(http.StatusRequestEntityTooLarge, "the request has more than %d bytes", bodyMax)
	case errors.As(err, &wrong) && wrong.Field != "":
		return web.FieldError(http.StatusBadRequest, wrong.Field,
			fmt.Sprintf("%s is a JSON %s: write %s", wrong.Field, wrong.Value, jsonType(wrong.Type)))
	case strings.HasPrefix(text, unknown):
		field := strings.Trim(strings.TrimPrefix(text, unknown), `"`)
		return web.FieldError(http.StatusBadRequest, field,
			fmt.Sprintf("there is no field %q: see /api/v1/openapi.json", field))
	default:
		return web.Errorf(http.StatusBadRequest, "the request is not a JSON object: %s", strings.TrimPrefix(text, "json: "))
	}
}

// jsonType says which JSON a field of a request takes.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	}
	return "a string" // no request has numbers
}

// failure is an error of another package as the client gets it. One of an unknown kind is the coordinator's own, and
// its text is not shown.
func failure(err error) error {
	status := 0
	switch errkind.Of(err) {
	case errkind.Invalid:
		status = http.StatusBadRequest
	case errkind.NotFound:
		status = http.StatusNotFound
		if errkind.Field(err) != "" { // of something that the request names, not of its address
			status = http.StatusBadRequest
		}
	case errkind.Conflict:
		status = http.StatusConflict
	case errkind.Unavailable:
		status = http.StatusServiceUnavailable
	default:
		return err
	}
	return web.FieldError(status, errkind.Field(err), err.Error())
}
