package node

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/probemesh/probemesh/coordinator/operators"
)

type fakeTokens map[string]operators.Scope

func (f fakeTokens) Authenticate(token string) (t operators.Token, known bool, err error) {
	if token == "too often" {
		return t, false, errors.New("too many unknown tokens")
	}
	scope, known := f[token]
	return operators.Token{Scope: scope}, known, nil
}

// The metrics are for those with a token that may read, and the address has nothing else.
func TestMetricsNeedAToken(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1")) })
	h := metricsHandler(fakeTokens{"r": operators.Read, "w": operators.Write}, metrics)
	for name, test := range map[string]struct {
		method, path, authorization string
		status                      int
	}{
		"a token that reads":  {"GET", "/metrics", "Bearer r", 200},
		"one that writes":     {"GET", "/metrics", "bearer w", 200},
		"no token":            {"GET", "/metrics", "", 401},
		"an unknown one":      {"GET", "/metrics", "Bearer x", 401},
		"another scheme":      {"GET", "/metrics", "Basic r", 401},
		"too many guesses":    {"GET", "/metrics", "Bearer too often", 429},
		"another page":        {"GET", "/", "Bearer r", 404},
		"the console":         {"GET", "/console/events", "Bearer w", 404},
		"another method":      {"POST", "/metrics", "Bearer w", 405},
		"a token in the path": {"GET", "/metrics?token=r", "", 401},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		if test.authorization != "" {
			r.Header.Set("Authorization", test.authorization)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: %d, want %d", name, w.Code, test.status)
		}
		if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no challenge", name)
		}
	}
}

func TestSettingsOfMetricsAndConsole(t *testing.T) {
	for name, test := range map[string]struct {
		config Config
		valid  bool
	}{
		"metrics on loopback":       {Config{MetricsListen: "127.0.0.1:9100"}, true},
		"metrics in the clear":      {Config{MetricsListen: ":9100"}, false},
		"metrics by TLS":            {Config{MetricsListen: ":9100", TLSCert: "a", TLSKey: "b"}, true},
		"console":                   {Config{ConsoleURL: "https://console.example.net/"}, true},
		"console without a scheme":  {Config{ConsoleURL: "console.example.net"}, false},
		"console with a password":   {Config{ConsoleURL: "https://a:b@console.example.net/"}, false},
		"console of another scheme": {Config{ConsoleURL: "javascript:alert(1)"}, false},
	} {
		test.config.OpsListen = "127.0.0.1:0"
		if err := test.config.Validate(); (err == nil) != test.valid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
