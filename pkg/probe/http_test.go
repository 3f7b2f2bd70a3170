package probe_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

func httpCheck(o catalog.HTTP) catalog.Check {
	return catalog.Check{Kind: catalog.KindHTTP, Timeout: patience, Options: o}
}

// website answers what the paths say, and repeats the request.
func website(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	switch r.URL.Path {
	case "/json":
		fmt.Fprint(w, `{"skip":[{"a":[1,{}]},"x"],"data":[{"state":"ready","n":12.50,"on":true,"no":null}]}`)
	case "/no-json":
		fmt.Fprint(w, "<html>it works</html>")
	case "/long":
		fmt.Fprint(w, strings.Repeat(" ", 1<<20+1)+"Version 12")
	case "/long-json":
		fmt.Fprint(w, `{"a":"`+strings.Repeat("x", 70000)+`","b":"ok"}`)
	case "/created":
		w.WriteHeader(http.StatusCreated)
	case "/moved":
		http.Redirect(w, r, "/request", http.StatusFound)
	case "/loop":
		http.Redirect(w, r, "/loop", http.StatusFound)
	case "/elsewhere":
		http.Redirect(w, r, "http://other.example:1/", http.StatusFound)
	default:
		fmt.Fprintf(w, "%s Version 7 user=%s:%s token=%s accept=%s host=%s", r.Method, user, password,
			r.Header.Get("Authorization"), r.Header.Get("Accept"), r.Host)
	}
}

func TestHTTPRequests(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(website))
	defer site.Close()
	url := strings.Replace(site.URL, "127.0.0.1", "www.example.net", 1)
	const good, bad = mesh.Reachable, mesh.Unreachable
	for name, test := range map[string]struct {
		path    string
		options catalog.HTTP
		outcome mesh.Outcome
		reason  string
	}{
		"method": {"/", catalog.HTTP{Method: "POST", Body: "POST Version"}, good, ""},
		"head":   {"/", catalog.HTTP{Method: "HEAD"}, good, ""},
		"headers": {"/", catalog.HTTP{Headers: map[string]string{"accept": "text/x"},
			Body: "accept=text/x"}, good, ""},
		"basic":    {"/", catalog.HTTP{User: "u", Password: "p", Body: "user=u:p"}, good, ""},
		"bearer":   {"/", catalog.HTTP{Bearer: "abc", Body: "token=Bearer abc"}, good, ""},
		"match":    {"/", catalog.HTTP{BodyMatch: `Version [0-9]+ `}, good, ""},
		"no match": {"/", catalog.HTTP{BodyMatch: `^Version`}, bad, `body lacks a match of "^Version"`},
		"late match": {"/long", catalog.HTTP{BodyMatch: `Version`}, bad,
			"not in the first MiB of the body: a match of"},
		"json": {"/json", catalog.HTTP{BodyJSON: map[string]string{"data.0.state": "ready",
			"data.0.n": "12.50"}}, good, ""},
		"json words": {"/json", catalog.HTTP{BodyJSON: map[string]string{"data.0.on": "true",
			"data.0.no": "null"}}, good, ""},
		"json other": {"/json", catalog.HTTP{BodyJSON: map[string]string{"data.0.state": "up"}}, bad,
			`body lacks "up" as "data.0.state", which is "ready"`},
		"json none": {"/json", catalog.HTTP{BodyJSON: map[string]string{"data.1.state": "up"}}, bad,
			`body lacks "data.1.state"`},
		"json object": {"/json", catalog.HTTP{BodyJSON: map[string]string{"data": "x"}}, bad, `body lacks "data"`},
		"no json": {"/no-json", catalog.HTTP{BodyJSON: map[string]string{"a": "x"}}, bad,
			`body lacks "a": it is no JSON`},
		"long json": {"/long-json", catalog.HTTP{BodyJSON: map[string]string{"b": "ok"}}, bad,
			`body lacks "b": it is longer than 64 KiB`},
		"statuses": {"/created", catalog.HTTP{Statuses: []string{"200", "201-204"}}, good, ""},
		"status":   {"/created", catalog.HTTP{Statuses: []string{"200", "202-204"}}, bad, "status 201"},
		"moved": {"/moved", catalog.HTTP{Redirects: []string{"www.example.net"}, Body: "GET Version"},
			good, ""},
		"not moved": {"/moved", catalog.HTTP{Redirects: []string{"other.example"}}, bad,
			"redirects to /request (status 302), wanted 200"},
		"elsewhere": {"/elsewhere", catalog.HTTP{Redirects: []string{"www.example.net"}}, bad,
			"redirects to http://other.example:1/ (status 302), wanted 200"},
		"loop": {"/loop", catalog.HTTP{Redirects: []string{"www.example.net"}}, bad, "after 5 redirects"},
		"unresolved": {"/elsewhere", catalog.HTTP{Redirects: []string{"other.example"}}, mesh.Inconclusive,
			"the host of a redirect"},
		"in time": {"/", catalog.HTTP{Phases: map[string]string{"first_byte": "19s"}}, good, ""},
		"over it": {"/", catalog.HTTP{Phases: map[string]string{"first_byte": "1ns"}}, mesh.Slow,
			"over the objective: the first byte took "},
		"no http/2": {"/", catalog.HTTP{HTTP2: true}, bad, "answered with HTTP/1, wanted HTTP/2"},
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			test.options.URL = url + test.path
			got := once(t, probe.Kernel{}, httpCheck(test.options), "127.0.0.1")
			want(t, got, test.outcome, test.reason)
			if got.Outcome.Good() && (got.Phases.Connect <= 0 || got.Phases.FirstByte <= 0) {
				t.Errorf("%+v", got.Phases)
			}
			http.DefaultClient.CloseIdleConnections()
			site.CloseClientConnections()
			goleak.VerifyNone(t, before)
		})
	}
}

// A redirect to another host gets neither the headers nor the credentials.
func TestRedirectsToOtherHostsGetNoCredentials(t *testing.T) {
	heard := make(chan http.Header, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { heard <- r.Header }))
	defer other.Close()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/", http.StatusFound)
	}))
	defer site.Close()
	o := catalog.HTTP{
		URL: site.URL, Bearer: "xyzzy", Headers: map[string]string{"X-Token": "xyzzy"},
		Redirects: []string{"localhost"},
	}
	want(t, once(t, probe.Kernel{}, httpCheck(o), "127.0.0.1"), mesh.Reachable, "")
	if text := fmt.Sprint(<-heard); strings.Contains(text, "xyzzy") {
		t.Error(text)
	}
	o.PlainLogin = false
	network := newNamed(answer{say: func(c net.Conn) { io.Copy(io.Discard, c) }})
	want(t, once(t, network, httpCheck(o), "192.0.2.1"), mesh.Inconclusive, "not permitted: credentials without TLS")
}

func TestHTTP2AndClientCertificates(t *testing.T) {
	site := httptest.NewUnstartedServer(http.HandlerFunc(website))
	pool := x509.NewCertPool()
	pool.AddCert(authority.certificate)
	site.TLS = &tls.Config{
		Certificates: []tls.Certificate{issue(t, "www.example.net")}, ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: pool,
	}
	site.EnableHTTP2, site.Config.ErrorLog = true, log.New(io.Discard, "", 0)
	site.StartTLS()
	defer site.Close()
	dir := t.TempDir()
	certificate, key := certificateFiles(t, dir, "probe.example.net")
	url := strings.Replace(site.URL, "127.0.0.1", "www.example.net", 1)
	before := goleak.IgnoreCurrent()
	o := catalog.HTTP{URL: url, HTTP2: true, Body: "Version", Verification: catalog.Verification{
		ClientCertificate: certificate, ClientKey: key,
	}}
	got := once(t, probe.Kernel{}, httpCheck(o), "127.0.0.1")
	if want(t, got, mesh.Reachable, ""); got.Phases.TLS <= 0 {
		t.Errorf("%+v", got.Phases)
	}
	site.CloseClientConnections()
	goleak.VerifyNone(t, before)
	o.ClientKey = dir + "/missing"
	want(t, once(t, probe.Kernel{}, httpCheck(o), "127.0.0.1"), mesh.Inconclusive,
		"not permitted: this agent cannot use its client certificate")
	o.Verification = catalog.Verification{}
	want(t, once(t, probe.Kernel{}, httpCheck(o), "127.0.0.1"), mesh.Unreachable, "TLS refused: certificate required")
	port := site.Listener.Addr().(*net.TCPAddr).Port
	check := catalog.Check{Kind: "tls", Timeout: patience, Options: catalog.TLS{Port: port,
		Verification: catalog.Verification{
			ServerName: "www.example.net", ClientCertificate: certificate, ClientKey: key,
		}}}
	want(t, once(t, probe.Kernel{}, check, "127.0.0.1"), mesh.Reachable, "")
}

// A redirect to another host is verified by that host's own name, and gets no client certificate.
func TestRedirectsToOtherHostsAreVerifiedByTheirNames(t *testing.T) {
	serve := func(name string, h http.HandlerFunc) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{issue(t, name)}, ClientAuth: tls.RequestClientCert}
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	shown := make(chan int, 1)
	other := serve("localhost", func(_ http.ResponseWriter, r *http.Request) { shown <- len(r.TLS.PeerCertificates) })
	site := serve("www.example.net", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/next", http.StatusFound)
			return
		}
		if len(r.TLS.PeerCertificates) == 0 {
			http.Error(w, "the check's own host gets the certificate after a redirect, too", http.StatusForbidden)
			return
		}
		http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/", http.StatusFound)
	})
	certificate, key := certificateFiles(t, t.TempDir(), "probe.example.net")
	o := catalog.HTTP{
		URL: strings.Replace(site.URL, "127.0.0.1", "example.net", 1) + "/", Redirects: []string{"example.net", "localhost"},
		Verification: catalog.Verification{ServerName: "www.example.net", ClientCertificate: certificate, ClientKey: key},
	}
	want(t, once(t, probe.Kernel{}, httpCheck(o), "127.0.0.1"), mesh.Reachable, "")
	select {
	case n := <-shown:
		if n != 0 {
			t.Error("the other host saw the client certificate")
		}
	default:
		t.Error("the other host was not asked")
	}
}

// Whatever JSON a server sends, the probe ends.
func FuzzJSONBodies(f *testing.F) {
	f.Add(`{"a":[1,{"b":"c"}]}`, "a.1.b")
	f.Add(`[[[`, "0.0.0.0")
	f.Fuzz(func(t *testing.T, body, path string) {
		if catalog.ValidJSONPath(path) != nil {
			return
		}
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter,
			_ *http.Request) {
			io.WriteString(w, body)
		}))
		defer site.Close()
		got := once(t, probe.Kernel{}, httpCheck(catalog.HTTP{URL: site.URL,
			BodyJSON: map[string]string{path: "x"}}), "127.0.0.1")
		if !got.Outcome.Good() && got.Reason == "" {
			t.Fatalf("%+v", got)
		}
	})
}
