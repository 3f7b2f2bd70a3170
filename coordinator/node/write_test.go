package node_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/coordinator/operators"
)

// program is a client of the API with a token.
type program struct {
	t          *testing.T
	url, token string
	key        string // the idempotency key of its requests; "": none
}

// do sends a request and decodes the answer. It returns the status.
func (p program) do(method, path, body string, into any) (*http.Response, int) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	if p.key != "" {
		r.Header.Set("Idempotency-Key", p.key)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			p.t.Fatalf("%s %s: %v in %q", method, path, err, data)
		}
	}
	return res, res.StatusCode
}

// serveNode runs a node until the function returns, which gets the URL of the public address.
func serveNode(t *testing.T, c node.Config, do func(url string, client *admin.Client)) {
	t.Helper()
	n, err := node.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	do("http://"+n.PublicAddr().String(), admin.NewClient(c.Data))
}

type failureJSON struct{ Error, Field string }

type apiPost struct {
	ID, Title, Text, Category string
	Tags, Hosts               []string
	Edited                    *time.Time `json:"edited_at"`
	Removed                   *time.Time `json:"removed_at"`
	Before                    []struct{ Title, Text string }
}

// A program writes with a token: what it may, once, and the audit log names it. Tokens, their ends and idempotency keys
// outlive a restart, and the data directory has no token.
func TestAProgramWritesByToken(t *testing.T) {
	c := config(t)
	var writer, reader string
	var published apiPost
	const draft = `{"title": "Altair", "text": "Two servers joined.", "tags": ["mail"], "hosts": ["nc036"]}`
	serveNode(t, c, func(url string, client *admin.Client) {
		var err error
		if writer, err = client.Tokens().Add(t.Context(), "deploy", operators.Write); err != nil {
			t.Fatal(err)
		}
		if reader, err = client.Tokens().Add(t.Context(), "dashboard", operators.Read); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Tokens().Add(t.Context(), "deploy", operators.Read); err == nil {
			t.Error("two tokens have one name")
		}
		refuses(t, url, reader)
		p := program{t, url, writer, "once"}
		res, status := p.do("POST", "/api/v1/posts", draft, &published)
		if status != http.StatusCreated || published.Title != "Altair" || published.Hosts[0] != "NC036" ||
			res.Header.Get("Location") != "/api/v1/posts/"+published.ID {
			t.Fatalf("%d %+v %v", status, published, res.Header)
		}
		var edited apiPost
		p.key = ""
		_, status = p.do("PATCH", "/api/v1/posts/"+published.ID, `{"text": "Three servers joined."}`, &edited)
		if status != http.StatusOK || edited.Edited == nil || edited.Title != "Altair" || len(edited.Tags) != 1 ||
			len(edited.Before) != 1 || edited.Before[0].Text != "Two servers joined." {
			t.Errorf("%d %+v", status, edited)
		}
	})
	for _, token := range []string{writer, reader} {
		if found := filesWith(t, c.Data, token); len(found) > 0 || len(token) < 40 {
			t.Errorf("the token %s is in %v", token, found)
		}
	}
	serveNode(t, c, func(url string, client *admin.Client) {
		repeatsNothing(t, program{t, url, writer, "once"}, draft, published.ID)
		var removal struct{ Erased bool }
		_, status := program{t, url, writer, ""}.do("DELETE", "/api/v1/posts/"+published.ID, "", &removal)
		if status != http.StatusOK || !removal.Erased {
			t.Errorf("%d %+v", status, removal)
		}
		if _, err := client.Invite(t.Context(), "NC036"); err != nil {
			t.Fatal(err)
		}
		names(t, program{t, url, reader, ""}, client)
		if err := client.Tokens().Revoke(t.Context(), "deploy"); err != nil {
			t.Fatal(err)
		}
	})
	serveNode(t, c, func(url string, client *admin.Client) {
		if res, status := (program{t, url, writer, ""}).do("POST", "/api/v1/posts", draft, nil); status !=
			http.StatusUnauthorized || !strings.Contains(res.Header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("a revoked token: %d %v", status, res.Header)
		}
		if _, status := (program{t, url, reader, ""}).do("GET", "/api/v1/posts", "", nil); status != http.StatusOK {
			t.Error("a valid token after a restart:", status)
		}
		tokens, err := client.Tokens().List(t.Context())
		if err != nil || len(tokens) != 2 || tokens[0].Used.IsZero() || tokens[1].Name != "deploy" ||
			tokens[1].Revoked.IsZero() {
			t.Errorf("%+v %v", tokens, err)
		}
	})
}

// refuses checks what is refused, and with which status and field.
func refuses(t *testing.T, url, reader string) {
	t.Helper()
	for _, test := range []struct {
		name, token, method, path, body string
		status                          int
		field, header                   string
	}{
		{"no token", "", "POST", "/api/v1/posts", "{}", 401, "", `Bearer realm="probemesh"`},
		{"a wrong token", "pmt_x", "POST", "/api/v1/posts", "{}", 401, "", `error="invalid_token"`},
		{"a token to read", reader, "POST", "/api/v1/posts", "{}", 403, "", `scope="write"`},
		{"a token to read", reader, "DELETE", "/api/v1/posts/x", "", 403, "", `error="insufficient_scope"`},
		{"no post", reader, "GET", "/api/v1/posts/x", "", 404, "", ""},
		{"no such method", reader, "PUT", "/api/v1/posts", "{}", 405, "", ""},
		{"no such address", reader, "POST", "/api/v1/nothing", "{}", 404, "", ""},
		{"reading without a token", "", "GET", "/api/v1/audit", "", 401, "", "Bearer"},
		{"a wrong number", reader, "GET", "/api/v1/audit?limit=x", "", 400, "limit", ""},
	} {
		var failed failureJSON
		res, status := program{t, url, test.token, ""}.do(test.method, test.path, test.body, &failed)
		if status != test.status || failed.Error == "" || failed.Field != test.field ||
			!strings.Contains(res.Header.Get("WWW-Authenticate"), test.header) {
			t.Errorf("%s: %d %+v %v", test.name, status, failed, res.Header)
		}
	}
}

// repeatsNothing checks that a repeat with the same key makes no second post, and that another request may not have the
// key.
func repeatsNothing(t *testing.T, p program, draft, id string) {
	t.Helper()
	var again apiPost
	res, status := p.do("POST", "/api/v1/posts", draft, &again)
	if status != http.StatusCreated || again.ID != id || res.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a repeat: %d %+v", status, again)
	}
	var failed failureJSON
	if _, status := p.do("POST", "/api/v1/posts", `{"title": "B", "text": "B"}`, &failed); status != 409 {
		t.Errorf("another request with the key: %d %+v", status, failed)
	}
	var posts []apiPost
	if _, status := p.do("GET", "/api/v1/posts", "", &posts); status != 200 || len(posts) != 1 {
		t.Errorf("%d %+v", status, posts)
	}
	for body, field := range map[string]string{
		`{"title": "", "text": "x"}`:                       "title",
		`{"title": "x", "text": ""}`:                       "text",
		`{"title": "x", "text": "x", "tags": ["a b"]}`:     "tags",
		`{"title": "x", "text": "x", "hosts": ["NC999"]}`:  "hosts",
		`{"title": "x", "text": "x", "category": "a b"}`:   "category",
		`{"title": 3, "text": "x"}`:                        "title",
		`{"title": "x", "text": "x", "titel": "mistaken"}`: "titel",
		`{"title": "x"`: "",
		`[]`:            "",
		`{} {}`:         "",
	} {
		failed = failureJSON{}
		p.key = ""
		if _, status := p.do("POST", "/api/v1/posts", body, &failed); status != 400 || failed.Field != field ||
			failed.Error == "" {
			t.Errorf("%s: %d %+v", body, status, failed)
		}
	}
	large := `{"title": "x", "text": "` + strings.Repeat("x", 1<<20) + `"}`
	if _, status := p.do("POST", "/api/v1/posts", large, &failed); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a request of a megabyte: %d", status)
	}
}

// names checks that the audit log has every change, by the name of the token.
func names(t *testing.T, p program, client *admin.Client) {
	t.Helper()
	var log []struct{ Name, Action, Object string }
	if _, status := p.do("GET", "/api/v1/audit", "", &log); status != 200 {
		t.Fatal(status)
	}
	var got []string
	for _, e := range log {
		got = append(got, e.Name+" "+e.Action)
	}
	const want = "commands of this machine agent.invite, deploy post.remove, deploy post.edit, " +
		"deploy post.publish, " +
		"commands of this machine token.add, commands of this machine token.add"
	if strings.Join(got, ", ") != want {
		t.Errorf("the audit log has %q", got)
	}
	entries, err := client.Tokens().AuditLog(t.Context(), 2)
	if err != nil || len(entries) != 2 || entries[1].Action != "post.remove" {
		t.Errorf("%+v %v", entries, err)
	}
}
