// Package web is what every HTTP surface of a coordinator shares: what an audience may see (View), the layout of
// pages with its style and script, event streams, limits per client, the cache of rendered pages, and the one writer
// of errors. Packages site, api and console render what they show with it; node joins their routes into handlers.
package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/rs/zerolog"
)

// Route is one address: a pattern of http.ServeMux, and what answers it.
type Route struct {
	Pattern string
	Handler HandlerFunc
}

// HandlerFunc answers a request, or returns an error before it wrote anything. NewHandler answers the error.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// NewHandler serves routes to an audience, answers their errors, and limits how often each client may ask. The patterns
// of all routes together must not conflict. Pages of other sites may read the API of the public, and nothing of the
// operators'.
func NewHandler(log zerolog.Logger, a Audience, routes ...Route) http.Handler {
	mux := NewMux(log, routes...)
	if a == Public {
		return allowCrossOrigin(newRequestLimits().limit(answerPreflight(mux)))
	}
	return RefuseCrossSite(newRequestLimits().limit(mux), log)
}

// NewMux serves routes and answers their errors, without limits.
func NewMux(log zerolog.Logger, routes ...Route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.Handler(w, r); err != nil {
				WriteError(w, r, log, err)
			}
		})
	}
	return mux
}

// statusError is an error that the client may read, with the status that its answer has.
type statusError struct {
	status int
	text   string
	field  string // of the request; "": the error is about no field
}

func (e *statusError) Error() string { return e.text }

// Errorf returns an error that WriteError answers with the status and the text. All other errors are the coordinator's
// own: their text is logged and not shown.
func Errorf(status int, format string, args ...any) error {
	return &statusError{status: status, text: fmt.Sprintf(format, args...)}
}

// FieldError returns an error as Errorf does, about one field of the request.
func FieldError(status int, field, text string) error {
	return &statusError{status: status, text: text, field: field}
}

// ClientError returns the status and the text of an error that the client may read; false for other errors.
func ClientError(err error) (status int, text string, ok bool) {
	var known *statusError
	if !errors.As(err, &known) {
		return 0, "", false
	}
	return known.status, known.text, true
}

// WriteError answers a request that failed. It is the only place where an error becomes an answer, and where it is
// logged.
func WriteError(w http.ResponseWriter, r *http.Request, log zerolog.Logger, err error) {
	var known *statusError
	if errors.As(err, &known) {
		writeFailure(w, r, known)
		return
	}
	log.Error().Err(err).Str("path", LogPath(r)).Msg("request failed")
	text := "This page cannot be shown at the moment. Please try again."
	if strings.HasPrefix(r.URL.Path, "/api/") {
		text = "The request failed. Please try again."
	}
	writeFailure(w, r, &statusError{status: http.StatusInternalServerError, text: text})
}

// SecretPrefix is the path of addresses that are secrets themselves: who has one can act.
const SecretPrefix = "/ack/"

// LogPath returns the path of a request as a log may show it.
func LogPath(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, SecretPrefix) {
		return SecretPrefix + "[secret]"
	}
	return r.URL.Path
}

// writeFailure answers with the text of an error: programs get JSON from the API, people plain text.
func writeFailure(w http.ResponseWriter, r *http.Request, e *statusError) {
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		WriteText(w, e.status, e.text+"\n")
		return
	}
	data, _ := json.Marshal(Failure{e.text, e.field}) // texts can always be encoded
	WriteData(w, e.status, MediaJSON, append(data, '\n'))
}

// Failure is an error as programs get it.
type Failure struct {
	Error string `json:"error" required:"true"`
	Field string `json:"field,omitempty" description:"the field of the request that the error is about"`
}

// WriteText answers with plain text.
func WriteText(w http.ResponseWriter, status int, text string) {
	WriteData(w, status, "text/plain; charset=utf-8", []byte(text))
}

// WriteJSON answers with a value in JSON, indented for people. Whether pages of other sites may read it depends on the
// audience: NewHandler decides.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	WriteData(w, status, MediaJSON, append(data, '\n'))
	return nil
}

// WriteData answers with data of a media type. Caches may keep it, if they ask each time whether it is current, unless
// the caller set Cache-Control.
func WriteData(w http.ResponseWriter, status int, mediaType string, data []byte) {
	h := w.Header()
	SetMediaType(h, mediaType)
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	w.WriteHeader(status)
	_, _ = w.Write(data) // fails only if the client has gone
}

// MediaJSON is the media type of JSON.
const MediaJSON = "application/json; charset=utf-8"

// SetMediaType sets the media type of an answer, and that browsers must not guess another one: many answers repeat what
// a client or an agent wrote.
func SetMediaType(h http.Header, mediaType string) {
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
}
