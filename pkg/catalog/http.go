package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/address"
)

// kindHTTPRequest is how an HTTP check is encoded that has options which agents of version N-1 would ignore: they would
// send another request, and vote on another question.
const kindHTTPRequest = "http+request"

// HTTP requires that the URL answers with the status and the text.
type HTTP struct {
	URL    string `json:"url,omitempty"`
	Status int    `json:"status,omitempty"` // see Accepts
	Body   string `json:"body,omitempty"`   // text that the body must contain
	Verification

	Statuses  []string          `json:"statuses,omitempty"`   // see Accepts
	BodyMatch string            `json:"body_match,omitempty"` // a regular expression (RE2) that the body must match
	BodyJSON  map[string]string `json:"body_json,omitempty"`  // values in a JSON body by path, as in data.0.state
	Method    string            `json:"method,omitempty"`     // empty: GET
	Headers   map[string]string `json:"headers,omitempty"`    // of the request
	User      string            `json:"user,omitempty"`       // with the password: basic authentication
	Password  string            `json:"password,omitempty"`
	Bearer    string            `json:"bearer,omitempty"` // a token
	// PlainLogin permits credentials over a connection without TLS that leaves the machine.
	PlainLogin bool     `json:"plain_login,omitempty"`
	Redirects  []string `json:"redirects,omitempty"` // hosts to which redirects are followed
	HTTP2      bool     `json:"http2,omitempty"`     // the server must speak HTTP/2
	// Phases are objectives: the longest time of connect, tls, first_byte and body, as in 300ms. A slower answer is good
	// and degraded.
	Phases map[string]string `json:"phases,omitempty"`
}

func (HTTP) kind() string          { return KindHTTP }
func (HTTP) provesHostAlive() bool { return true }

// HTTPMethods lists the methods that a check can use: those that change nothing, and POST for an API that wants it.
func HTTPMethods() []string { return []string{"GET", "HEAD", "OPTIONS", "POST"} }

// Accepts reports whether a response with the status is good: one in Statuses, or else Status, or else 200.
func (o HTTP) Accepts(status int) bool {
	if len(o.Statuses) == 0 {
		return status == cmp.Or(o.Status, 200)
	}
	return slices.ContainsFunc(o.Statuses, func(text string) bool {
		from, to, err := StatusRange(text)
		return err == nil && from <= status && status <= to
	})
}

// ExpectedStatuses returns the statuses of good responses as people write them.
func (o HTTP) ExpectedStatuses() string {
	if len(o.Statuses) == 0 {
		return strconv.Itoa(cmp.Or(o.Status, 200))
	}
	return strings.Join(o.Statuses, " or ")
}

// StatusRange parses a status or a range of them, as in 200 and 200-299.
func StatusRange(text string) (from, to int, err error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, errFrom := strconv.Atoi(strings.TrimSpace(first))
	to, errTo := strconv.Atoi(strings.TrimSpace(last))
	if errFrom != nil || errTo != nil || from < 100 || to > 599 || from > to {
		return 0, 0, fmt.Errorf("%.20q is no status or range from 100 to 599", text)
	}
	return from, to, nil
}

// Objective returns the longest time that a phase should take, or 0 if the check has none.
func (o HTTP) Objective(phase string) time.Duration {
	d, _ := time.ParseDuration(o.Phases[phase])
	return d
}

// ValidPhase returns an error unless a check can have the objective.
func ValidPhase(phase, text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case !slices.Contains([]string{"connect", "tls", "first_byte", "body"}, phase):
		return fmt.Errorf("%.20q is no phase: they are connect, tls, first_byte and body", phase)
	case err != nil || d <= 0 || d > TimeoutMax:
		return fmt.Errorf("the objective of %s is no duration up to %v", phase, TimeoutMax)
	}
	return nil
}

// HasCredentials reports whether the request has a password or token.
func (o HTTP) HasCredentials() bool { return o.Password != "" || o.Bearer != "" }

// A certificate that ends soon is an advisory, and a slow phase is degraded: the answer is as good as before. The order
// of a list changes nothing.
func (o HTTP) question() Options {
	o.Verification = o.Verification.question()
	o.Phases = nil
	o.Statuses, o.Redirects = sorted(o.Statuses), sorted(o.Redirects)
	return o
}

func (o HTTP) withTexts(fn func(key, text string) (string, error)) (Options, error) {
	var all error
	for _, text := range []struct {
		key    string
		target *string
	}{
		{"url", &o.URL}, {"body", &o.Body}, {"body_match", &o.BodyMatch},
		{"user", &o.User}, {"password", &o.Password}, {"bearer", &o.Bearer},
	} {
		var err error
		*text.target, err = fn(text.key, *text.target)
		all = errors.Join(all, err)
	}
	o.Headers, o.BodyJSON = maps.Clone(o.Headers), maps.Clone(o.BodyJSON)
	for _, pairs := range []struct {
		key    func(name string) string
		values map[string]string
	}{
		{HeaderKey, o.Headers}, {JSONKey, o.BodyJSON},
	} {
		for _, name := range slices.Sorted(maps.Keys(pairs.values)) {
			var err error
			pairs.values[name], err = fn(pairs.key(name), pairs.values[name])
			all = errors.Join(all, err)
		}
	}
	return o, all
}

// HeaderKey is the key of a header's value, for references to secrets.
func HeaderKey(name string) string { return "headers." + name }

// JSONKey is the key of a value that the body's JSON must have, for references to secrets.
func JSONKey(path string) string { return "body_json." + path }

// isRequest reports whether agents of version N-1 would ignore options of the check.
func (o HTTP) isRequest() bool {
	known := HTTP{URL: o.URL, Status: o.Status, Body: o.Body}
	known.CertificateDays, known.Phases = o.CertificateDays, o.Phases
	return !reflect.DeepEqual(o, known)
}

func (o HTTP) validate() error {
	u, _, _, err := address.ParseURL(o.URL)
	if err != nil {
		return err
	}
	bodies := 0
	for _, given := range []bool{o.Body != "", o.BodyMatch != "", len(o.BodyJSON) > 0} {
		if given {
			bodies++
		}
	}
	secured := o.Verification
	secured.CertificateDays = 0 // which earlier versions allowed with http
	switch {
	case o.Status != 0 && (o.Status < 100 || o.Status > 599):
		return fmt.Errorf("status %d is not a number from 100 to 599", o.Status)
	case bodies > 1:
		return errors.New("body, body_match and body_json exclude one another")
	case bodies > 0 && o.Method == "HEAD":
		return errors.New("an answer to HEAD has no body")
	case o.Method != "" && !slices.Contains(HTTPMethods(), o.Method):
		return fmt.Errorf("there is no method %.20q", o.Method)
	case (o.User == "") != (o.Password == "") || o.Password != "" && o.Bearer != "":
		return errors.New("user and password belong together, and exclude bearer")
	case u.Scheme == "http" && (secured != (Verification{}) || o.HTTP2):
		return errors.New("server_name, ca, client_certificate, client_key and http2 are for an https URL")
	case o.PlainLogin && (u.Scheme != "http" || !o.HasCredentials()):
		return errors.New("plain_login is for credentials with an http URL")
	case strings.ContainsAny(o.User+o.Password+o.Bearer, "\r\n\x00"):
		return errors.New("a credential has more than one line")
	}
	return errors.Join(o.validLists(), o.Verification.validate())
}

func (o HTTP) validLists() error {
	_, err := regexp.Compile(o.BodyMatch)
	if max(len(o.Statuses), len(o.BodyJSON), len(o.Headers), len(o.Redirects)) > ListMax {
		err = errors.Join(err, fmt.Errorf("a list has more than %d items", ListMax))
	}
	for _, text := range o.Statuses {
		_, _, errStatus := StatusRange(text)
		err = errors.Join(err, errStatus)
	}
	for name, value := range o.Headers {
		err = errors.Join(err, ValidHeader(name, value))
	}
	for _, host := range o.Redirects {
		_, errHost := address.ParseHost(host)
		err = errors.Join(err, errHost)
	}
	for phase, text := range o.Phases {
		err = errors.Join(err, ValidPhase(phase, text))
	}
	for path := range o.BodyJSON {
		err = errors.Join(err, ValidJSONPath(path))
	}
	return err
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~-]{1,100}$`)

// ownHeaders are the headers that the probe or its connection sets.
var ownHeaders = []string{
	"host", "user-agent", "content-length", "transfer-encoding", "connection", "authorization", "accept-encoding",
	"upgrade", "te", "trailer", "expect",
}

// ValidHeader returns an error unless a request can have the header.
func ValidHeader(name, value string) error {
	switch {
	case !headerName.MatchString(name):
		return fmt.Errorf("%.100q is not the name of a header", name)
	case slices.Contains(ownHeaders, strings.ToLower(name)):
		return fmt.Errorf("the header %s cannot be set", name)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return fmt.Errorf("the header %s has more than one line", name)
	}
	return nil
}

// ValidJSONPath returns an error unless the text names a value in JSON: names and numbers of items with dots between.
func ValidJSONPath(path string) error {
	parts := strings.Split(path, ".")
	if len(path) > 254 || len(parts) > 20 || slices.Contains(parts, "") {
		return fmt.Errorf("%.100q is not a path as in data.0.state", path)
	}
	return nil
}
