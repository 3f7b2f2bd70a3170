package probe_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/secret"
)

const secretMark = "xyzzy-probe"

// withSecret probes a URL and a body that have the secret, and returns the result and its description.
func withSecret(t *testing.T, url, body string, values map[string]secret.Text) (probe.Result, string) {
	t.Helper()
	check := catalog.Check{
		Kind: catalog.KindHTTP, Name: "Web", Interval: 10 * time.Second, Timeout: patience,
		Options: catalog.HTTP{URL: url, Status: 200, Body: body},
	}
	for key, text := range map[string]string{"url": url, "body": body} {
		if strings.Contains(text, "${TOKEN}") {
			check.Secrets = append(check.Secrets, catalog.Reference{Key: key, Name: "${TOKEN}"})
		}
	}
	target := probe.Target{Check: check, Address: "127.0.0.1", Family: mesh.IPv4, Secrets: values, Agent: "nc1"}
	r := probe.Once(t.Context(), probe.Kernel{}, target, func() {})
	return r, r.Reason + " " + probe.Describe(target, r) + fmt.Sprintf("%+v %#v", target, target)
}

func TestProbesSendSecretsAndNeverShowThem(t *testing.T) {
	values := map[string]secret.Text{"${TOKEN}": secret.New(secretMark)}
	echoes := map[string]http.HandlerFunc{
		"wants it": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("k") != secretMark || r.URL.Path != "/"+secretMark {
				w.WriteHeader(http.StatusForbidden)
			}
			_, _ = io.WriteString(w, "hello "+secretMark)
		},
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://other.example"+r.URL.String())
			w.WriteHeader(http.StatusMovedPermanently)
		},
		"encoding": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", secretMark)
			_, _ = io.WriteString(w, "x")
		},
		"empty": func(http.ResponseWriter, *http.Request) {},
		"long":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<20)) },
	}
	for name, handler := range echoes {
		s := httptest.NewServer(handler)
		r, shown := withSecret(t, s.URL+"/${TOKEN}?k=${TOKEN}", "hello ${TOKEN}", values)
		s.Close()
		if good := name == "wants it"; r.Outcome.Good() != good || !good && r.Outcome != mesh.Unreachable {
			t.Errorf("%s: %v %s", name, r.Outcome, r.Reason)
		}
		if strings.Contains(shown, secretMark) {
			t.Errorf("%s: the secret is shown: %s", name, shown)
		}
	}
	if r, _ := withSecret(t, "http://127.0.0.1:1/?k=${TOKEN}", "", nil); r.Outcome != mesh.Inconclusive ||
		r.Reason != "the value of ${TOKEN} has not arrived" {
		t.Errorf("without a value: %v %s", r.Outcome, r.Reason)
	}
}

// A pattern and a value in JSON may be secrets. What the probe lacks is named by its reference.
func TestExpectedSecretsAreNotShown(t *testing.T) {
	answer := `{"key":"` + secretMark + `"}`
	s := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }),
	)
	defer s.Close()
	for key, o := range map[string]catalog.HTTP{
		"body_match":    {URL: s.URL, BodyMatch: `"${TOKEN}"`},
		"body_json.key": {URL: s.URL, BodyJSON: map[string]string{"key": "${TOKEN}"}},
	} {
		check := catalog.Check{
			Kind: catalog.KindHTTP, Interval: 10 * time.Second, Timeout: 5 * time.Second, Options: o,
			Secrets: []catalog.Reference{{Key: key, Name: "${TOKEN}"}},
		}
		for value, good := range map[string]bool{secretMark: true, secretMark + "-other": false} {
			target := probe.Target{
				Check: check, Address: "127.0.0.1", Secrets: map[string]secret.Text{"${TOKEN}": secret.New(value)},
			}
			r := probe.Once(t.Context(), probe.Kernel{}, target, func() {})
			if r.Outcome.Good() != good || strings.Contains(r.Reason+probe.Describe(target, r), secretMark) ||
				!good && !strings.Contains(r.Reason, "${TOKEN}") {
				t.Errorf("%s: %v %s", key, r.Outcome, r.Reason)
			}
		}
	}
}

func TestABannerThatRepeatsASecretIsNotShown(t *testing.T) {
	port := server(t, "127.0.0.1", func(c net.Conn) { _, _ = io.WriteString(c, "220 "+secretMark+" ready\r\n") })
	check := catalog.Check{
		Kind: catalog.KindTCP, Interval: 10 * time.Second, Timeout: time.Second,
		Options: catalog.TCP{Port: port, Banner: "^220 ${TOKEN} up$"},
		Secrets: []catalog.Reference{{Key: "banner", Name: "${TOKEN}"}},
	}
	target := probe.Target{
		Check: check, Address: "127.0.0.1", Secrets: map[string]secret.Text{"${TOKEN}": secret.New(secretMark)},
	}
	r := probe.Once(context.Background(), probe.Kernel{}, target, func() {})
	if r.Outcome != mesh.Unreachable || strings.Contains(r.Reason+probe.Describe(target, r), secretMark) {
		t.Errorf("%v: %s", r.Outcome, r.Reason)
	}
	check.Options = catalog.TCP{Port: port, Banner: "^220 ${TOKEN} ready$"}
	target.Check = check
	if r := probe.Once(context.Background(), probe.Kernel{}, target, func() {}); !r.Outcome.Good() {
		t.Errorf("the right banner: %v: %s", r.Outcome, r.Reason)
	}
}
