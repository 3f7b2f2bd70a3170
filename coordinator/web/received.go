package web

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// received is what a client of an event stream has: the digest of the latest data of each type of event. Events carry
// states and no differences, so a client needs nothing but the latest. As the id of an event it survives a lost
// connection and a restart of the coordinator: the client sends it back, and gets only what is new to it.
type received map[string]string

const (
	// afterParam is the query parameter in which a page's script sends the id back. The script opens a new stream
	// itself; a browser sends Last-Event-ID only when the browser reconnects.
	afterParam = "after"
	// idMax bounds an id that a client sends. Ours have some 40 bytes.
	idMax = 200
	// digestSize is in bytes: enough to tell the versions of one page apart.
	digestSize = 9
)

// lastReceived returns what the client of a request says that it has. One that lies misses updates itself.
func lastReceived(r *http.Request) received {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.FormValue(afterParam)
	}
	out := received{}
	if len(id) > idMax {
		return out
	}
	for part := range strings.SplitSeq(id, ",") {
		event, digest, _ := strings.Cut(part, ":")
		if sum, err := base64.RawURLEncoding.DecodeString(digest); err == nil && len(sum) == digestSize &&
			(event == "page" || event == "status") { // it becomes part of ids again, which must not contain just anything
			out[event] = digest
		}
	}
	return out
}

// add records that the client gets the data, and reports whether it is new to the client.
func (r received) add(event, data string) bool {
	d := digest(data)
	if r[event] == d {
		return false
	}
	r[event] = d
	return true
}

// id returns the id of an event after which a client has received this.
func (r received) id() string {
	parts := make([]string, 0, len(r))
	for _, event := range slices.Sorted(maps.Keys(r)) {
		parts = append(parts, event+":"+r[event])
	}
	return strings.Join(parts, ",")
}

// digest identifies a text among the versions of one page, in letters that a URL may contain.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:digestSize])
}

// PageID returns the id of an event stream after which a client has the body of a page, and nothing else.
func PageID(body string) string { return received{"page": digest(body)}.id() }
