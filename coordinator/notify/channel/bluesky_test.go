package channel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/secret"
)

// record is what a server of the AT protocol stores of a post.
type record struct {
	Repo, Collection, Rkey string
	Record                 struct {
		Type      string `json:"$type"`
		Text      string
		CreatedAt string
		Facets    []struct {
			Index    struct{ ByteStart, ByteEnd int }
			Features []map[string]string
		}
	}
}

// pds is a server of the AT protocol that stores what is put.
type pds struct {
	refuse  bool
	session int // the number of the session that is valid
	signIns int // attempts
	puts    []record
}

func (p *pds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/xrpc/com.atproto.server.createSession":
		p.signIns++
		var login struct{ Identifier, Password string }
		_ = json.NewDecoder(r.Body).Decode(&login)
		if p.refuse || login.Identifier != "status.example.net" || login.Password != mark {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		p.session = p.signIns
		_, _ = fmt.Fprintf(w, `{"accessJwt": "jwt-%d", "did": "did:plc:abc"}`, p.session)
	case "/xrpc/com.atproto.repo.putRecord":
		var put record
		if json.NewDecoder(r.Body).Decode(&put) != nil ||
			r.Header.Get("Authorization") != fmt.Sprintf("Bearer jwt-%d", p.session) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p.puts = append(p.puts, put)
	default:
		http.NotFound(w, r)
	}
}

// A message becomes one post, however often it is sent, with its link. A long one is shortened before the link.
func TestBluesky(t *testing.T) {
	stored := &pds{}
	server := httptest.NewServer(stored)
	defer server.Close()
	s := channel.Sender{Resolve: func(x catalog.SecretText) (secret.Text, error) { return secret.New(x.Text), nil }}
	to := catalog.Channel{Name: "social", URL: catalog.SecretText{
		Text: "bluesky://status.example.net:" + mark + "@" + strings.TrimPrefix(server.URL, "http://") + "?disabletls=yes",
	}}
	const link = "https://a.example/i/1"
	at := time.Date(2025, 6, 14, 19, 51, 0, 0, time.UTC)
	messages := []channel.Message{
		{ID: "m1", Body: "Mail – investigating\n\nSending mail is unavailable.\n\n" + link, At: at},
		{ID: "m1", Body: "Mail – investigating\n\nSending mail is unavailable.\n\n" + link, At: at},
		{ID: "m2", Body: strings.Repeat("ä", 400) + "\n\n" + link, At: at},
		{ID: "m3", Body: "without a link", At: at},
	}
	for _, m := range messages {
		if err := s.Send(context.Background(), nil, to, m); err != nil {
			t.Fatal(err)
		}
	}
	key := regexp.MustCompile("^[2-7a-j][2-7a-z]{12}$") // as the protocol defines a TID
	keys := map[string]string{}
	for i, put := range stored.puts {
		text := put.Record.Text
		if put.Repo != "did:plc:abc" || put.Collection != "app.bsky.feed.post" || put.Record.Type != put.Collection ||
			put.Record.CreatedAt != "2025-06-14T19:51:00Z" || utf8.RuneCountInString(text) > 300 {
			t.Errorf("%d: %+v", i, put)
		}
		if !key.MatchString(put.Rkey) || keys[messages[i].ID] != "" && keys[messages[i].ID] != put.Rkey {
			t.Errorf("%d: the key is %q, before it was %q", i, put.Rkey, keys[messages[i].ID])
		}
		keys[messages[i].ID] = put.Rkey
		if strings.Contains(messages[i].Body, link) {
			f := put.Record.Facets[0]
			if text[f.Index.ByteStart:f.Index.ByteEnd] != link || f.Features[0]["uri"] != link {
				t.Errorf("%d: %q has %+v", i, text, f)
			}
		}
	}
	if len(keys) != 3 || keys["m1"] == keys["m2"] || stored.puts[3].Record.Text != "without a link" {
		t.Errorf("keys %v", keys)
	}
	if stored.signIns != 1 {
		t.Errorf("%d sign-ins for four messages", stored.signIns)
	}
	stored.session = -1 // it ended
	if err := s.Send(context.Background(), nil, to, messages[0]); err != nil || stored.signIns != 2 {
		t.Errorf("after the session ended: %v, %d sign-ins", err, stored.signIns)
	}
	stored.refuse, stored.session = true, -1
	err := s.Send(context.Background(), nil, to, messages[0])
	if err == nil || !strings.Contains(err.Error(), "sign in: the server answered with status 401") ||
		strings.Contains(err.Error(), mark) {
		t.Errorf("a refused sign-in: %v", err)
	}
}
