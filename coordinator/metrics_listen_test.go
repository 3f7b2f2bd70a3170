package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/testenv"
)

// scrape reads an address as a monitoring system does that trusts a pool: on a connection of its own.
func scrape(address, token string, trusted *x509.CertPool) (status int, body string, err error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted},
	}}
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, string(data), err
}

// The metrics of a served coordinator are read by TLS and with a token, and by nothing less. A renewed certificate is
// served without a restart, and a token that was revoked reads nothing more.
func TestMetricsByTLSAndToken(t *testing.T) {
	m := newTestbed(t)
	data, cert, key, listen := m.path("d"), m.path("cert.pem"), m.path("key.pem"), testenv.FreeAddress(t)
	first := testenv.WriteCertificate(t, cert, key, 1)
	m.startCoordinator(data, "--metrics-listen", listen, "--tls-cert", cert, "--tls-key", key)
	out := m.must(m.coordinator, "token", "add", "prometheus", "--scope", "read", "--data", data)
	token := ""
	for word := range strings.FieldsSeq(out) {
		if len(word) > len(token) {
			token = word // the longest of what is printed
		}
	}
	address := "https://" + listen + "/metrics"
	want := func(what, token, address string, trusted *x509.CertPool, status int) string {
		t.Helper()
		got, body, err := scrape(address, token, trusted)
		if err != nil || got != status {
			t.Errorf("%s: status %d (%v), want %d: %.200s", what, got, err, status, body)
		}
		return body
	}
	if body := want("a token that reads", token, address, first, 200); !strings.Contains(body, "\nprobemesh_judging ") {
		t.Errorf("these are no metrics: %.500s", body)
	}
	for what, wrong := range map[string]string{
		"no token": "", "another token": token[:len(token)-1] + string(token[len(token)-1]^1), "half a token": token[:9],
	} {
		if body := want(what, wrong, address, first, 401); strings.Contains(body, "probemesh_judging") {
			t.Errorf("%s reads metrics", what)
		}
	}
	want("another page", token, "https://"+listen+"/", first, 404)
	if status, body, err := scrape("http://"+listen+"/metrics", token, nil); err == nil && status == 200 {
		t.Errorf("metrics in the clear: %.200s", body)
	}

	second := testenv.WriteCertificate(t, cert, key, 2)
	m.eventually("the renewed certificate is served", func() bool {
		status, _, err := scrape(address, token, second)
		return err == nil && status == 200
	})
	if _, _, err := scrape(address, token, first); err == nil {
		t.Error("the old certificate is served")
	}
	m.must(m.coordinator, "token", "revoke", "prometheus", "--data", data)
	want("a token that was revoked", token, address, second, 401)
	if log := m.serve.log.String(); strings.Contains(log, token) {
		t.Error("the token is in the log")
	}
}
