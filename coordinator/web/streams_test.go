package web_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/web"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// event is one event of a stream, as a browser sees it.
type event struct{ id, kind, data, retry string }

// listen reads the events of a stream from an address until the test ends.
func listen(t *testing.T, address, lastID string) <-chan event {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("X-Accel-Buffering") != "no" || res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers %v", res.Header)
	}
	events := make(chan event, 100)
	go func() {
		defer res.Body.Close()
		defer close(events)
		var e event
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), ": ")
			switch key {
			case "":
				events <- e
				e = event{}
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "retry":
				e.retry = value
			case "data":
				e.data += value
			}
		}
	}()
	return events
}

// next returns the next event other than a beat.
func next(t *testing.T, events <-chan event) event {
	t.Helper()
	for {
		select {
		case e := <-events:
			if e.kind != "beat" {
				return e
			}
		case <-time.After(patience):
			t.Fatal("no event")
		}
	}
}

// beatingServer serves the public site with a beat every 20 ms.
func beatingServer(t *testing.T, s web.Source) string {
	t.Helper()
	c := web.StreamsConfig{Beat: 20 * time.Millisecond}
	server := httptest.NewServer(web.NewHandler(zerolog.Nop(), web.Public, routes(s, web.Public, c)...))
	t.Cleanup(server.Close)
	return server.URL
}

// tick moves the source's moment on and changes nothing else, as the judge does every two seconds.
func tick(s *webtest.Source) {
	_, current := s.Current()
	next := *current
	next.At = next.At.Add(2 * time.Second)
	s.Show(&next)
}

func TestAStreamContinuesAfterTheLastEvent(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.At = time.Now().Add(time.Hour) // its beats go on, however long the test takes
	address := beatingServer(t, s) + "/api/v1/events?page=/"
	events := listen(t, address, "")
	if first := <-events; first.kind != "beat" || !regexp.MustCompile(`^[12]\d{3}$`).MatchString(first.retry) {
		t.Errorf("it begins with %+v", first)
	}
	page, status := next(t, events), next(t, events)
	if page.kind != "page" || page.id == "" || status.kind != "status" || status.id == "" {
		t.Fatalf("%+v, %+v", page, status)
	}
	for name, wants := range map[string][]string{
		status.id: nil, page.id: {"status"}, "": {"page", "status"}, strings.Repeat(status.id, 100): {"page", "status"},
	} {
		wantEvents(t, listen(t, address, name), name, wants)
	}
	wantEvents(t, listen(t, address+"&after="+status.id, ""), "the parameter", nil)
	wantEvents(t, listen(t, address+"&after=page:x%0A%0Devent:y,b:c", ""), "a malformed id", []string{"page", "status"})
	down := webtest.NewSource(t, mesh.Down, mesh.MajorOutage).Snapshot
	down.At = s.Snapshot.At.Add(2 * time.Second)
	s.Show(down)
	if e := next(t, events); e.kind != "page" || e.id == page.id || !strings.Contains(e.data, "Major outage") {
		t.Errorf("a change sends %+v", e)
	}
}

// wantEvents fails unless the stream has these events before it has nothing but beats.
func wantEvents(t *testing.T, events <-chan event, what string, wants []string) {
	t.Helper()
	var got []string
	for beats := 0; beats < 4; {
		e := <-events
		if e.kind == "beat" {
			beats++
			continue
		}
		got = append(got, e.kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(wants) {
		t.Errorf("after %q the stream has %v, want %v", what, got, wants)
	}
}

// A page brings the id of its body, so that its stream does not send the body again.
func TestAPageIsNotSentTwice(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.At = time.Now().Add(time.Hour) // its beats go on, however long the test takes
	server := beatingServer(t, s)
	body := webtest.Get(t, public(s), "/").Body.String()
	live := regexp.MustCompile(`data-live="([^"]*)"`).FindStringSubmatch(body)
	if live == nil {
		t.Fatal("the page has no stream")
	}
	wantEvents(t, listen(t, server+strings.ReplaceAll(live[1], "&amp;", "&"), ""), live[1], []string{"status"})
}

// An idle tab costs its beats: one every three seconds, and nothing for moments in which nothing changes.
func TestAnIdleTabCostsLittle(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	// Noon of tomorrow: its beats go on, however long the test takes, and no day ends, which would change the page.
	s.Snapshot.At = time.Now().UTC().Truncate(24 * time.Hour).Add(36 * time.Hour)
	events := listen(t, beatingServer(t, s)+"/api/v1/events?page=/", "")
	next(t, events)
	next(t, events)
	longest := 0
	for beats := 0; beats < 50; {
		tick(s)
		e := <-events
		if e.kind != "beat" {
			t.Fatalf("an idle mesh sends %+v", e)
		}
		beats++
		const framing = len("event: beat\n" + "data: \n\n" + "00\r\n\r\n") // with the chunk of HTTP/1.1
		longest = max(longest, framing+len(e.data))
	}
	const day = 24 * time.Hour
	if cost := longest * int(day/web.BeatInterval); cost > 2_000_000 {
		t.Errorf("a day of beats has %d bytes", cost)
	} else {
		t.Logf("a day of beats has %d bytes", cost)
	}
}

// A tab that is open for a day on a page with measurements costs less than 2 MB while nothing happens. Here a day goes
// by a hundred times as fast, and what was counted is multiplied.
func TestADayOfMeasurementsCostsLittle(t *testing.T) {
	t.Parallel()
	const faster, page = 100, 600
	streams := web.NewStreams(web.StreamsConfig{
		Beat: web.BeatInterval / faster, Interval: time.Millisecond, QuietRate: 5 * faster,
	})
	var state atomic.Int64 // what happened
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		measured := 0
		err := streams.Serve(w, r, web.Feed{
			Changed: func() <-chan struct{} { // as often as a judge moves on
				c := make(chan struct{})
				time.AfterFunc(2*time.Second/faster, func() { close(c) })
				return c
			},
			Update: func(send web.SendFunc) error {
				measured++
				return send("page", fmt.Sprintf("%d state %d %s", measured, state.Load(), strings.Repeat("x", page)))
			},
			At:     time.Now,
			Urgent: func() string { return fmt.Sprint("state", state.Load()) },
		})
		if err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	begun := time.Now() // before all that is counted, however late this test reads it
	res, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	read := func(until func(line string) bool) (bytes, pages int) {
		for lines.Scan() {
			bytes += len(lines.Text()) + 1
			if strings.Contains(lines.Text(), "xxx") {
				pages++
			}
			if until(lines.Text()) {
				return bytes, pages
			}
		}
		t.Fatal("the stream ended", lines.Err())
		return 0, 0
	}
	read(func(line string) bool { return strings.Contains(line, "state 0") })
	const watched = 4 * time.Second
	shown := false
	bytes, pages := read(func(line string) bool {
		shown = shown || strings.Contains(line, "xxx")
		return time.Since(begun) > watched && shown || time.Since(begun) > patience
	})
	day := int(float64(bytes) * (24 * time.Hour).Seconds() / (faster * time.Since(begun).Seconds()))
	t.Logf("%d bytes with %d pages in %s: %d a day", bytes, pages, faster*watched, day)
	if pages == 0 || day > 2_000_000 {
		t.Errorf("a day costs %d bytes, and %d pages came in %s", day, pages, faster*watched)
	}
	// What happens is shown at once all the same.
	state.Store(1)
	read(func(line string) bool { return strings.Contains(line, "state 1") })
}

// A coordinator whose judge stands still is not heard, though its HTTP server answers.
func TestBeatsEndWithTheJudge(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Snapshot.At = time.Now().Add(-time.Minute)
	events := listen(t, beatingServer(t, s)+"/api/v1/events", "")
	if e := <-events; e.kind == "beat" {
		t.Error("a beat, though the moment is a minute old")
	}
	<-events // the status
	fresh := *s.Snapshot
	fresh.At = time.Now()
	for s.Show(&fresh); ; {
		if e := <-events; e.kind == "beat" {
			break
		}
	}
	if body := webtest.Get(t, public(s), "/").Body.String(); !strings.Contains(body, `id="stale" class="wrap" hidden>`) {
		t.Error("a fresh page says that it is out of date")
	}
	old := fresh
	old.At = time.Now().Add(-time.Minute)
	s.Show(&old)
	if body := webtest.Get(t, public(s), "/").Body.String(); !strings.Contains(body, `id="stale" class="wrap">`) {
		t.Error("a page of a judge that stands still does not say that it is out of date")
	}
}
