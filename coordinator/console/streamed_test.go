package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// newOddServer serves the console of newOddConsole, and answers the requests of a client that gives up after a while.
func newOddServer(t *testing.T) (address string, client *http.Client) {
	t.Helper()
	h, _ := newOddConsole(t)
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL, &http.Client{Timeout: 10 * time.Second}
}

// Only pages that update by themselves have an event stream: each change would replay a moment of the past, and read
// charts and tables, again.
func TestOnlyLivePagesHaveAStream(t *testing.T) {
	address, client := newOddServer(t)
	for page, want := range map[string]int{
		"/": http.StatusOK, "/matrix?show=loss": http.StatusOK, "/hosts/NC036": http.StatusOK, "/matrix?at=": http.StatusOK,
		"/matrix?at=10m": http.StatusNotFound, "/matrix?format=json": http.StatusNotFound,
		"/hosts/NC036/checks/tcp-25": http.StatusNotFound, "/hosts/NC036/checks/tcp-25/minutes": http.StatusNotFound,
		"/pairs/NC023/NC036/tcp-25": http.StatusNotFound, "/transitions/280": http.StatusNotFound,
		"/hosts/NC000": http.StatusNotFound, "/console/events?page=/": http.StatusNotFound,
		"http://elsewhere.example/matrix": http.StatusNotFound, "//elsewhere.example/matrix": http.StatusNotFound,
	} {
		res, err := client.Get(address + "/console/events?page=" + url.QueryEscape(page))
		if err != nil {
			t.Fatal(page, err)
		}
		if res.Body.Close(); res.StatusCode != want {
			t.Errorf("the stream of %s: status %d, want %d", page, res.StatusCode, want)
		}
	}
}

// The answer to HEAD ends: the next request on its connection would wait for it for ever.
func TestHeadOfAStreamEnds(t *testing.T) {
	address, client := newOddServer(t)
	for _, path := range []string{"/console/events?page=/", "/agents"} {
		res, err := client.Head(address + path)
		if err != nil {
			t.Fatal(path, err)
		}
		if res.Body.Close(); res.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
	}
}

// No cache keeps what operators read, in any format, and no browser guesses what it is.
func TestNothingIsKeptByCaches(t *testing.T) {
	h, host := newOddConsole(t)
	chart := "/hosts/" + host + "/checks/tcp-25/minutes?format=chart&chart=rtt-days"
	for _, path := range []string{"/", "/matrix?at=10m", "/hosts/NC000", "/agents.csv", "/agents.json", chart} {
		header := get(t, h, "localhost", path).Header()
		if header.Get("Cache-Control") != "no-store" || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, header)
		}
	}
	if strings.Contains(get(t, h, "localhost", chart).Body.String(), "\n") {
		t.Error("the values of a chart have a line each")
	}
}

// ?format=html is the page itself.
func TestFormatOfThePageItself(t *testing.T) {
	h, host := newOddConsole(t)
	check := "/hosts/" + host + "/checks/tcp-25"
	for _, path := range []string{"/matrix", check + "/minutes", check + "/year"} {
		if w := get(t, h, "localhost", path+"?format=html"); w.Code != http.StatusOK ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s: status %d, %v", path, w.Code, w.Header())
		}
	}
}
