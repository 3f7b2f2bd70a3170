package web

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/zerolog"
)

// allowCrossOrigin lets pages of other sites read the public API, its errors too, and what is made for them. No browser
// adds credentials to such a request by itself: the API takes tokens in a header alone, and answerPreflight does not
// let a page send one.
func allowCrossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/badge") || path == "/widget.js" {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		next.ServeHTTP(w, r)
	})
}

// answerPreflight answers the OPTIONS request with which a browser asks whether a page of another site may send a
// request with headers of its own to the API.
func answerPreflight(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodOptions || !strings.HasPrefix(r.URL.Path, "/api/") {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Allow", "GET, HEAD, OPTIONS")
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "*")
		h.Set("Access-Control-Max-Age", "86400") // a day: the answer depends on nothing
		w.WriteHeader(http.StatusNoContent)
	})
}

// RefuseCrossSite refuses requests that a browser sends for a page of another site, as its Fetch metadata says. Only
// links to a page pass: they show it to the operator, and the other site reads nothing. Programs send no Fetch
// metadata.
func RefuseCrossSite(next http.Handler, log zerolog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "none", "same-origin":
		default:
			if !followsLink(r) {
				WriteError(w, r, log, Errorf(http.StatusForbidden, "pages of other sites may not read the operators' view"))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// followsLink reports whether the browser opens what is answered as a page of its own, not as a frame or as data.
func followsLink(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document"
}

// LocalOnly refuses a Host header that names another machine. What is served without a sign-in trusts what comes over
// loopback: without this check a page elsewhere could point its name at 127.0.0.1 and use the address through the
// browser of a person on this machine (DNS rebinding).
func LocalOnly(next http.Handler, log zerolog.Logger, names ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host // without a port
		}
		named := host == "localhost" || slices.ContainsFunc(names, func(name string) bool {
			return strings.EqualFold(name, host)
		})
		if ip := net.ParseIP(strings.Trim(host, "[]")); !named && (ip == nil || !ip.IsLoopback()) {
			WriteError(w, r, log, Errorf(http.StatusMisdirectedRequest,
				"this address does not answer for %q: open it as 127.0.0.1 or localhost", host))
			return
		}
		next.ServeHTTP(w, r)
	})
}
