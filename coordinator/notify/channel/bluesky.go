package channel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// bluesky://HANDLE:PASSWORD@HOST is an account at Bluesky, or at another server of the AT protocol. The password is an
// app password.
const bluesky = "bluesky"

// blueskyMax bounds a post, in graphemes. Characters are counted, of which a grapheme has one or more.
const blueskyMax = 300

func blueskyProblem(account *url.URL) error {
	if password, _ := account.User.Password(); account.User.Username() == "" || password == "" {
		return errors.New("the url has no handle and app password")
	}
	return onlyHost(account)
}

// publishPost publishes the message as a post. Another attempt puts the same record under the same key.
func publishPost(ctx context.Context, account *url.URL, m Message) error {
	session, fresh, err := blueskySessions.of(ctx, account)
	if err != nil {
		return err
	}
	err = putPost(ctx, account, session, m)
	status, _ := errors.AsType[statusError](err)
	if fresh || status != http.StatusUnauthorized && status != http.StatusBadRequest {
		return err
	}
	// The session may have ended, as sessions do after some hours: the protocol says so with status 400, proxies with 401.
	blueskySessions.forget(account, session)
	if session, _, err = blueskySessions.of(ctx, account); err != nil {
		return err
	}
	return putPost(ctx, account, session, m)
}

func putPost(ctx context.Context, account *url.URL, session blueskySession, m Message) error {
	_, err := callXRPC(ctx, account, "com.atproto.repo.putRecord", session.AccessJWT, map[string]any{
		"repo": session.DID, "collection": "app.bsky.feed.post", "rkey": recordKey(m), "record": newPost(m),
	})
	return err
}

// callXRPC calls a procedure of the server.
func callXRPC(ctx context.Context, account *url.URL, procedure, token string, input any) ([]byte, error) {
	body, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server(account)+"/xrpc/"+procedure, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the url has no usable host")
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return call(r)
}

// post is a record of the type app.bsky.feed.post.
type post struct {
	Type      string    `json:"$type"`
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"createdAt"`
	Facets    []facet   `json:"facets,omitempty"`
}

// facet makes a part of the text a link. The part is counted in bytes.
type facet struct {
	Index struct {
		Start int `json:"byteStart"`
		End   int `json:"byteEnd"`
	} `json:"index"`
	Features []map[string]string `json:"features"`
}

// newPost returns the record of a message. A text that is too long is shortened before the link at its end.
func newPost(m Message) post {
	text, link := m.Body, ""
	if i := strings.LastIndex(m.Body, "\n\n"); i >= 0 && strings.HasPrefix(m.Body[i+2:], "http") {
		text, link = m.Body[:i], m.Body[i:]
	}
	if most := blueskyMax - utf8.RuneCountInString(link); utf8.RuneCountInString(text) > most {
		text = strings.TrimSpace(string([]rune(text)[:max(0, most-1)])) + "…"
	}
	p := post{Type: "app.bsky.feed.post", Text: text + link, CreatedAt: m.At.UTC().Truncate(time.Millisecond)}
	if uri := strings.TrimSpace(link); uri != "" {
		f := facet{Features: []map[string]string{{"$type": "app.bsky.richtext.facet#link", "uri": uri}}}
		f.Index.Start, f.Index.End = len(p.Text)-len(uri), len(p.Text)
		p.Facets = []facet{f}
	}
	return p
}

// recordKey returns a key of the form that the protocol calls a TID: 53 bits of microseconds and 10 of a clock, with 13
// letters. What the milliseconds leave open comes from the message's id, so that each attempt has the same key and no
// two messages have one.
func recordKey(m Message) string {
	sum := sha256.Sum256([]byte(m.ID))
	random := binary.BigEndian.Uint32(sum[:])
	micros := uint64(m.At.UnixMilli())*1000 + uint64(random%1000)
	bits := micros<<10 | uint64(random/1000%1024)
	out := make([]byte, 13)
	for i := range out {
		out[len(out)-1-i] = sortable[bits>>(5*i)&31]
	}
	return string(out)
}

// sortable are the digits of a TID, by value.
const sortable = "234567abcdefghijklmnopqrstuvwxyz"
