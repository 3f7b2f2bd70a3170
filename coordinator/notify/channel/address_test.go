package channel_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"

	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/secret"
)

const mark = "mark-of-a-secret"

func TestAddressesThatCannotWork(t *testing.T) {
	for _, test := range []struct{ key, value, what, mend string }{
		{"url", mark + "://x", "names no service", "as in ntfy://ntfy.sh/TOPIC"},
		{"url", "ntfy:" + mark, "not a complete address of the service ntfy", "ntfy://ntfy.sh/TOPIC"},
		{"url", "ntfy://" + mark, "not a complete address of the service ntfy", "ntfy://ntfy.sh/TOPIC"},
		{"url", "ntfy://%zz" + mark, "cannot be parsed", "%XX"},
		{"url", "telegram://" + mark + "@telegram?chats=@ops", "of the service telegram", "telegram://TOKEN@telegram"},
		{"url", "slack://hook:" + mark + "@webhook", "of the service slack", "slack://hook:TOKEN@webhook"},
		{"url", "discord://" + mark + "@", "of the service discord", "discord://TOKEN@WEBHOOK"},
		{"url", "matrix://" + mark + ":" + mark + "@", "of the service matrix", "matrix://USER:PASSWORD@HOST"},
		{"url", "gotify:///" + mark, "of the service gotify", "gotify://HOST/TOKEN"},
		{"url", "generic:///" + mark, "of the service generic", "generic+https://HOST/PATH"},
		{"url", "mastodon://example.social", "has no token", "mastodon://TOKEN@HOST"},
		{"url", "mastodon://" + mark + "@example.social/@ops", "not just a host", "mastodon://TOKEN@HOST"},
		{"url", "bluesky://" + mark + "@bsky.social", "no handle and app password", "bluesky://HANDLE:APP-PASSWORD@HOST"},
		{"url", "bluesky://a.example:" + mark + "@", "not just a host", "bluesky://HANDLE:APP-PASSWORD@HOST"},
		{"url", "logger://" + mark, "names no service", "begin it with one of bark"}, // delivers to nobody
		{"url", "script://" + mark, "names no service", "begin it with one of bark"},
		{"webhook", "hooks.example.net/" + mark, "webhook's address is not usable", "https://hooks.example.net/path"},
		{"webhook", "ftp://hooks.example.net/" + mark, "webhook's address is not usable", "https://"},
		{"server", "http://u:" + mark + "@mail.example.net", "not one of smtp", "smtps://HOST:PORT"},
		{"server", "smtp://u:" + mark + "@mail.example.net:70000", "port is not a number from 1", "smtp://HOST:PORT"},
		{"server", "smtp://", "mail server's address is not usable", "smtp://HOST:PORT"},
		{"secret", "whsec_" + mark, "after whsec_ is not base64", "copy it whole"},
		{"secret", "whsec_", "after whsec_ is not base64", "copy it whole"},
	} {
		what, mend := channel.Problem(test.key, secret.New(test.value))
		if !strings.Contains(what, test.what) || !strings.Contains(mend, test.mend) {
			t.Errorf("%s %s: %q; %q", test.key, test.value, what, mend)
		}
		if strings.Contains(what+mend, mark) {
			t.Errorf("%s %s: a secret is repeated: %q; %q", test.key, test.value, what, mend)
		}
	}
}

func TestAddressesThatMayWork(t *testing.T) {
	for _, test := range []struct{ key, value string }{
		{"url", "ntfy://ntfy.sh/topic"},
		{"url", "ntfy://user:password@ntfy.example.net:8080/topic?scheme=http&priority=5"},
		{"url", "generic+https://hooks.example.net/x?template=json"},
		{"url", "GENERIC+http://10.0.0.1/x"},
		{"url", "telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0@telegram?chats=@ops"},
		{"url", "gotify://gotify.example.net/AzyoeNS.D4iJLVa"},
		{"url", "pushover://shoutrrr:token@user/?devices=phone"},
		{"url", "matrix://:token@matrix.example.net/?rooms=!ops:example.net"},
		{"url", "smtp://user:password@mail.example.net:587/?from=a@example.net&to=b@example.net"},
		{"url", "pagerduty:///1234567890abcdef1234567890abcdef"},
		{"url", "mastodon://token@example.social"},
		{"url", "mastodon://token@example.social/"},
		{"url", "bluesky://status.example.net:abcd-efgh-ijkl-mnop@bsky.social"},
		{"webhook", "https://hooks.example.net/x"},
		{"webhook", "http://10.0.0.1:8080/"},
		{"server", "smtp://127.0.0.1:25"},
		{"server", "smtp+starttls://user:password@mail.example.net"},
		{"server", "smtps://[2001:db8::1]:465"},
		{"secret", "raw bytes"},
		{"secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
	} {
		if what, mend := channel.Problem(test.key, secret.New(test.value)); what != "" {
			t.Errorf("%s %s: %q; %q", test.key, test.value, what, mend)
		}
	}
}

// Checking a catalog must not log in anywhere: the service matrix does when it is made with a user.
func TestCheckingConnectsToNothing(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	address := "matrix://user:password@" + host + "/?rooms=!a:b.example&disableTLS=yes"
	if what, mend := channel.Problem("url", secret.New(address)); what != "" || requests.Load() > 0 {
		t.Errorf("%q; %q after %d requests", what, mend, requests.Load())
	}
}

// Whatever shoutrrr can send to is accepted, but for its logger, which sends to nobody.
func TestEveryServiceIsKnown(t *testing.T) {
	_, mend := channel.Problem("url", secret.New("x://y"))
	list, _, _ := strings.Cut(strings.TrimPrefix(mend, "begin it with one of "), ", as in")
	known := strings.Split(list, ", ")
	for _, service := range new(router.ServiceRouter).ListServices() {
		if service != "logger" && !slices.Contains(known, service) {
			t.Errorf("%s is not in the list of services: %v", service, known)
		}
	}
}

func TestMastodon(t *testing.T) {
	status := http.StatusOK
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got = r
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	s := channel.Sender{Resolve: func(x catalog.SecretText) (secret.Text, error) { return secret.New(x.Text), nil }}
	to := catalog.Channel{Name: "social", URL: catalog.SecretText{
		Text: "mastodon://" + mark + "@" + strings.TrimPrefix(server.URL, "http://") + "?disabletls=yes",
	}}
	message := channel.Message{ID: "m1", Subject: "Mail", Body: "Sending mail is unavailable.\n\nhttps://a.example/i/1"}
	if err := s.Send(context.Background(), nil, to, message); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.URL.Path != "/api/v1/statuses" || got.Form.Get("status") != message.Body ||
		got.Header.Get("Authorization") != "Bearer "+mark || got.Header.Get("Idempotency-Key") != "m1" {
		t.Errorf("the server received %s %s %v %v", got.Method, got.URL, got.Form, got.Header)
	}
	status = http.StatusUnauthorized
	err := s.Send(context.Background(), nil, to, message)
	if err == nil || !strings.Contains(err.Error(), "status 401") || strings.Contains(err.Error(), mark) {
		t.Errorf("a refused status: %v", err)
	}
}
