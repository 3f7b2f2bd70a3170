package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// ask sends a request with pairs of header keys and values.
func ask(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// unpack returns the body of an answer without its encoding.
func unpack(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var in io.Reader = bytes.NewReader(w.Body.Bytes())
	switch encoding := w.Header().Get("Content-Encoding"); encoding {
	case "br":
		in = brotli.NewReader(in)
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		in = z
	}
	out, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAnswersAreCompressedAndValidated(t *testing.T) {
	s := webtest.NewSource(t, mesh.Down, mesh.MajorOutage)
	h := public(s)
	for _, path := range []string{"/", "/matrix", "/hosts/NC036", "/api/v2/summary.json", "/api/v1/matrix"} {
		plain := ask(h, http.MethodGet, path)
		tags := map[string]bool{}
		for accepted, want := range map[string]string{
			"": "", "gzip": "gzip", "gzip, deflate, br, zstd": "br", "br;q=0, GZIP;q=0.5": "gzip", "identity": "",
			"*": "", "br;q=0.000": "", "brx, gzipx": "",
		} {
			w := ask(h, http.MethodGet, path, "Accept-Encoding", accepted)
			tag, got := w.Header().Get("ETag"), w.Header().Get("Content-Encoding")
			if got != want || unpack(t, w) != plain.Body.String() || w.Header().Get("Vary") != "Accept-Encoding" ||
				!strings.HasPrefix(tag, `"`) {
				t.Errorf("%s, Accept-Encoding %q: %v", path, accepted, w.Header())
			}
			tags[tag] = true
			again := ask(h, http.MethodGet, path, "Accept-Encoding", accepted, "If-None-Match", `"x", W/`+tag)
			if again.Code != http.StatusNotModified || again.Body.Len() > 0 || again.Header().Get("ETag") != tag {
				t.Errorf("%s, If-None-Match: status %d, %v", path, again.Code, again.Header())
			}
			head := ask(h, http.MethodHead, path, "Accept-Encoding", accepted)
			if head.Code != http.StatusOK || head.Header().Get("Content-Length") != w.Header().Get("Content-Length") {
				t.Errorf("HEAD %s: status %d, %v", path, head.Code, head.Header())
			}
		}
		if len(tags) != 3 {
			t.Errorf("%s: three encodings have the validators %v", path, tags)
		}
	}
	if w := ask(h, http.MethodGet, "/", "Accept-Encoding", "br"); w.Body.Len() > 9000 {
		t.Errorf("the front page has %d bytes compressed", w.Body.Len())
	}
}

// A validator stays as long as nothing changes, over snapshots, and changes with the first that differs.
func TestTheValidatorFollowsTheContent(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h := public(s)
	for _, path := range []string{"/", "/api/v2/summary.json", "/badge/NC036.svg"} {
		for attempt := 0; ; attempt++ {
			minute := time.Now().Minute()
			first := ask(h, http.MethodGet, path)
			same := *s.Snapshot
			same.At = time.Now()
			s.Show(&same)
			if again := ask(h, http.MethodGet, path, "If-None-Match", first.Header().Get("ETag")); again.Code ==
				http.StatusNotModified {
				break
			} else if attempt > 0 || minute == time.Now().Minute() { // one attempt may meet the next minute
				t.Fatalf("%s: a snapshot without a change answers %d", path, again.Code)
			}
		}
	}
	up := ask(h, http.MethodGet, "/").Header().Get("ETag")
	s.Show(webtest.NewSource(t, mesh.Down, mesh.MajorOutage).Snapshot)
	if w := ask(h, http.MethodGet, "/", "If-None-Match", up); w.Code != http.StatusOK ||
		!strings.Contains(w.Body.String(), "Major outage") {
		t.Errorf("after a change: status %d", w.Code)
	}
}

// counted returns a handler whose answers are rendered by the function, and how often it was called.
func counted(s web.Source, render web.HandlerFunc) (http.Handler, *atomic.Int64) {
	var calls atomic.Int64
	ready := web.NewAnswers(web.NewView(s, web.Public)).Ready(web.ByPath,
		func(w http.ResponseWriter, r *http.Request) error {
			calls.Add(1)
			return render(w, r)
		})
	return web.NewMux(zerolog.Nop(), web.Route{Pattern: "GET /", Handler: ready}), &calls
}

func TestAnAnswerIsRenderedOnceForAChange(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h, calls := counted(s, func(w http.ResponseWriter, _ *http.Request) error {
		time.Sleep(10 * time.Millisecond) // so that the others wait for it
		web.WriteText(w, http.StatusOK, "ok")
		return nil
	})
	for changes := range 3 {
		var tasks sync.WaitGroup
		for range 50 {
			tasks.Go(func() { ask(h, http.MethodGet, "/") })
		}
		tasks.Wait()
		if n := calls.Load(); n < int64(changes)+1 || n > int64(changes)+2 { // the minute may end meanwhile
			t.Fatalf("rendered %d times for %d changes", n, changes+1)
		}
		next := *s.Snapshot
		s.Show(&next)
	}
}

// What is not found is asked for under ever new names.
func TestErrorsAreNotKept(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	h, calls := counted(s, func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == "/error" {
			return web.Errorf(http.StatusNotFound, "no such thing")
		}
		web.WriteText(w, http.StatusNotFound, "nothing here")
		return nil
	})
	for _, path := range []string{"/error", "/text"} {
		before := calls.Load()
		for range 3 {
			if w := ask(h, http.MethodGet, path); w.Code != http.StatusNotFound {
				t.Errorf("%s: status %d", path, w.Code)
			}
		}
		if n := calls.Load() - before; n != 3 {
			t.Errorf("%s was rendered %d times for 3 requests", path, n)
		}
	}
	if w := ask(h, http.MethodGet, "/text", "If-None-Match", "*"); w.Code != http.StatusNotFound {
		t.Errorf("If-None-Match on a failure: %d", w.Code)
	}
}

// However many addresses there are, memory is bounded and all of them are answered.
func TestAnswersAreBounded(t *testing.T) {
	h, _ := counted(webtest.NewSource(t, mesh.Up, mesh.Operational), func(w http.ResponseWriter, r *http.Request) error {
		web.WriteText(w, http.StatusOK, r.URL.Path)
		return nil
	})
	for i := range 5000 {
		path := "/" + strings.Repeat("x", i)
		if w := ask(h, http.MethodGet, path); w.Body.String() != path {
			t.Fatalf("%d: %d %s", i, w.Code, w.Body)
		}
	}
}

// The path that every request takes allocates almost nothing. What is counted here includes the router of net/http.
func TestAReadyAnswerAllocatesAlmostNothing(t *testing.T) {
	h := public(webtest.NewSource(t, mesh.Up, mesh.Operational))
	for _, path := range []string{"/", "/api/v2/summary.json"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept-Encoding", "gzip, br")
		w := &discard{header: http.Header{}}
		minute, serve := time.Now().Minute(), func() { h.ServeHTTP(w, r) }
		n := testing.AllocsPerRun(40, serve)
		if minute != time.Now().Minute() { // it was rendered again meanwhile
			n = testing.AllocsPerRun(40, serve)
		}
		if n > 8 || w.status != http.StatusOK || w.written < 40*500 {
			t.Errorf("%s allocates %v times; status %d, %d bytes", path, n, w.status, w.written)
		}
		t.Logf("%s allocates %v times", path, n)
	}
}

// discard is a http.ResponseWriter without allocations of its own.
type discard struct {
	header          http.Header
	status, written int
}

func (d *discard) Header() http.Header    { return d.header }
func (d *discard) WriteHeader(status int) { d.status = status }

func (d *discard) Write(p []byte) (int, error) {
	d.written += len(p)
	return len(p), nil
}
