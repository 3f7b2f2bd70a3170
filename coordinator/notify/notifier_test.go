package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/coordinator/notify/channel"
	"github.com/probemesh/probemesh/pkg/archive"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/sla"
)

// bench is a notifier whose world the test sets. It runs in a bubble of synctest.
type bench struct {
	*notify.Notifier
	catalog *catalog.Catalog
	began   time.Time
	send    func(ctx context.Context, c catalog.Channel, m channel.Message) error
	append  func()        // is called when something was appended
	reading time.Duration // of the incidents

	mu        sync.Mutex
	incidents []*incident.Incident
	public    []archive.Entry
	warnings  map[string]string
	warned    map[string]string // by the notifier
	sent      []string          // "5s a incident.opened i1"
	events    []ledger.NotifyEvent
	pauses    []sla.Window
	snapshot  *mesh.Snapshot
	changed   chan struct{}
}

func newBench(n *catalog.Notify) *bench {
	b := &bench{
		catalog: &catalog.Catalog{Notify: n}, began: time.Now(), warnings: map[string]string{},
		warned: map[string]string{}, changed: make(chan struct{}),
		send:   func(context.Context, catalog.Channel, channel.Message) error { return nil },
		append: func() {},
	}
	catalog.Seal(b.catalog)
	b.Notifier = notify.New(notify.Config{
		Catalog: func() *catalog.Catalog { return b.catalog }, Snapshot: func() *mesh.Snapshot { return b.snapshot },
		Incidents: func(context.Context, incident.Query) ([]*incident.Incident, error) {
			time.Sleep(b.reading)
			b.mu.Lock()
			defer b.mu.Unlock()
			return slices.Clone(b.incidents), nil
		},
		Public: func(context.Context) ([]archive.Entry, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return slices.Clone(b.public), nil
		},
		Base:     func() string { return "" },
		Warnings: b.allWarnings,
		Sent:     func(context.Context, time.Time) ([]ledger.NotifyEvent, error) { return b.events, nil },
		Append: func(_ context.Context, events ...ledger.Event) error {
			b.mu.Lock()
			for _, e := range events {
				b.events = append(b.events, e.(ledger.NotifyEvent))
			}
			b.mu.Unlock()
			b.append()
			return nil
		},
		Clock:   func() (time.Time, time.Duration) { return time.Now(), 0 },
		Changed: func() <-chan struct{} { b.mu.Lock(); defer b.mu.Unlock(); return b.changed },
		Send: func(ctx context.Context, _ *catalog.MailServer, c catalog.Channel, m channel.Message) error {
			err := b.send(ctx, c, m)
			if err == nil {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.sent = append(b.sent, fmt.Sprintf("%v %s %s", time.Since(b.began), c.Name, m.Subject))
			}
			return err
		},
		Links:  func(notify.Alert) notify.Links { return notify.Links{} },
		Pauses: func(context.Context, time.Time) ([]sla.Window, error) { return b.pauses, nil },
		Warn:   b.warn, Logger: zerolog.Nop(),
	})
	return b
}

// start runs the notifier until stop is called.
func (b *bench) start(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = b.Run(ctx) }()
	return func() { cancel(); <-ended }
}

func (b *bench) allWarnings() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]string{}
	for _, all := range []map[string]string{b.warnings, b.warned} {
		for subject, text := range all {
			out[subject] = text
		}
	}
	return out
}

func (b *bench) warn(subject, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.warned[subject] = text; text == "" {
		delete(b.warned, subject)
	}
}

// change changes the world, and wakes the notifier.
func (b *bench) change(do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do()
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *bench) wantSent(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.sent)
	slices.Sort(want)
	if !slices.Equal(b.sent, want) {
		t.Errorf("sent %q\nwant %q", b.sent, want)
	}
}

func outageOf(id, host string) *incident.Incident {
	now := time.Now()
	return &incident.Incident{
		ID: id, State: incident.Investigating, Impact: incident.Critical, Began: now, Opened: now,
		Hosts: []incident.Host{{Name: host, ID: "x", Status: mesh.MajorOutage, Worst: mesh.MajorOutage}},
	}
}

// Ten incidents at once do not delay the eleventh, also where the channel takes its time.
func TestTenIncidentsDoNotDelayTheEleventh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(catalog.Route{Channels: []string{"a"}}))
		b.send = func(context.Context, catalog.Channel, channel.Message) error {
			time.Sleep(12 * time.Second)
			return nil
		}
		defer b.start(t)()
		b.change(func() {
			for n := range 10 {
				b.incidents = append(b.incidents, outageOf(fmt.Sprintf("i%d", n), fmt.Sprintf("NC%03d", n)))
			}
		})
		time.Sleep(time.Second)
		b.change(func() { b.incidents = append(b.incidents, outageOf("i11", "NC011")) })
		time.Sleep(13 * time.Second)
		var want []string
		for n := range 10 {
			want = append(want, fmt.Sprintf("12s a DOWN NC%03d: major outage", n))
		}
		b.wantSent(t, append(want, "13s a DOWN NC011: major outage")...)
	})
}

// The message that something works again waits for the one that it is down: the last that people read is what is so.
func TestTheEndDoesNotOvertakeTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(catalog.Route{Channels: []string{"a"}}))
		b.send = func(_ context.Context, _ catalog.Channel, m channel.Message) error {
			if strings.HasPrefix(m.Subject, "DOWN") {
				time.Sleep(12 * time.Second)
			}
			return nil
		}
		defer b.start(t)()
		b.change(func() { b.incidents = append(b.incidents, outageOf("i1", "NC036")) })
		time.Sleep(5 * time.Second)
		b.change(func() {
			over := *b.incidents[0]
			over.State, over.Resolved, over.Over = incident.Resolved, time.Now(), time.Now()
			b.incidents[0] = &over
		})
		time.Sleep(20 * time.Second)
		b.wantSent(t, "12s a DOWN NC036: major outage", "12s a OK NC036: major outage")
	})
}

// Updates of an incident are published in order, and an update is dropped once a later one has been published.
func TestAnnouncementsKeepTheirOrder(t *testing.T) {
	for _, test := range []struct {
		name string
		fail bool
		want []string
	}{
		{"a slow server", false, []string{"5s Mail – investigating", "5s Mail – resolved"}},
		{"a refused message", true, []string{"5s Mail – resolved"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(nil)
			account := catalog.Announce{URL: catalog.SecretText{Text: "mastodon://t@h"}, What: []string{"incidents"}}
			b.catalog.Announce = []catalog.Announce{account}
			b.send = func(_ context.Context, _ catalog.Channel, m channel.Message) error {
				if strings.Contains(m.Subject, "investigating") {
					time.Sleep(5 * time.Second)
					if test.fail {
						return errors.New("status 422")
					}
				}
				return nil
			}
			defer b.start(t)()
			b.change(func() {
				b.public = []archive.Entry{{
					Kind: archive.Incident, ID: "i1", Title: "Mail", At: time.Now(), Updates: []archive.Update{
						{ID: "1", At: time.Now(), State: "investigating", Text: "We look into it."},
						{ID: "2", At: time.Now().Add(time.Second), State: "resolved", Text: "It works."},
					},
				}}
			})
			time.Sleep(10 * time.Minute)
			b.mu.Lock()
			defer b.mu.Unlock()
			var got []string
			for _, line := range b.sent {
				got = append(got, strings.Replace(line, notify.AccountName(account)+" ", "", 1))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%s: %q, want %q", test.name, got, test.want)
			}
		})
	}
}

// The request that acknowledges one incident may be what finds another. That one's message outlives the request.
func TestASendOutlivesTheRequestThatFoundIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(catalog.Route{Channels: []string{"a"}}))
		b.send = func(ctx context.Context, _ catalog.Channel, _ channel.Message) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Second):
				return nil
			}
		}
		defer b.start(t)()
		b.change(func() { b.incidents = append(b.incidents, outageOf("i1", "NC036")) })
		time.Sleep(3 * time.Second)
		b.mu.Lock()
		b.incidents = append(b.incidents, outageOf("i2", "NC023"))
		b.mu.Unlock()
		request, end := context.WithCancel(t.Context())
		if err := b.Acknowledge(request, "i1", "ann"); err != nil {
			t.Error(err)
		}
		end()
		time.Sleep(20 * time.Second)
		b.wantSent(t, "2s a DOWN NC036: major outage", "5s a DOWN NC023: major outage")
	})
}

// A decision that is in the ledger reaches the notifier even if the client disconnects while the notifier is busy.
func TestADecisionOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(catalog.Route{Channels: []string{"a"}}))
		b.catalog.Hosts = []catalog.Host{{Name: "NC036"}}
		catalog.Seal(b.catalog)
		b.reading = time.Second
		defer b.start(t)()
		time.Sleep(5 * time.Second)
		request, end := context.WithCancel(t.Context())
		b.append = func() {
			b.change(func() {})
			time.Sleep(b.reading / 2)
			end()
		}
		_, err := b.Silence(request, notify.Hush{Host: "NC036", Until: time.Now().Add(time.Hour), Reason: "new disk"})
		all, errAll := b.Silences(t.Context())
		if err != nil || errAll != nil || len(all) != 1 {
			t.Errorf("silences %v (%v, %v)", all, err, errAll)
		}
	})
}

// Without a section notify nobody is notified of an incident, and it is acknowledged all the same.
func TestAcknowledgingWithoutASectionNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(nil)
		defer b.start(t)()
		b.change(func() { b.incidents = append(b.incidents, outageOf("i1", "NC036")) })
		time.Sleep(time.Second)
		if err := b.Acknowledge(t.Context(), "i1", "ann"); err != nil {
			t.Error(err)
		}
		if all, err := b.Acknowledged(t.Context()); err != nil || all["i1"].By != "ann" {
			t.Errorf("acknowledged %v (%v)", all, err)
		}
		if err := b.Acknowledge(t.Context(), "i2", "ann"); err == nil || !strings.Contains(err.Error(), "no open incident") {
			t.Errorf("an unknown incident: %v", err)
		}
		b.wantSent(t)
	})
}

// A message for programs says when the outage began as it was measured; that of a test has no such time.
func TestWhenAnOutageBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(catalog.Route{Channels: []string{"a"}}))
		var mu sync.Mutex
		var got []string
		b.send = func(_ context.Context, _ catalog.Channel, m channel.Message) error {
			data, err := json.Marshal(m.Data)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(data))
			return err
		}
		defer b.start(t)()
		i := outageOf("i1", "NC036")
		i.Began = time.Now().Add(-2 * time.Second)
		b.change(func() { b.incidents = append(b.incidents, i) })
		time.Sleep(time.Second)
		if _, err := b.Test(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		want := `"began":"` + i.Wall(i.Began).UTC().Format(time.RFC3339Nano)
		if len(got) != 2 || !strings.Contains(got[0], want) || strings.Contains(got[1], "began") {
			t.Errorf("sent %q, want %s", got, want)
		}
	})
}

// What would be sent about a host names the silences that suppress it.
func TestExplainingASilencedHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(config(catalog.Route{Channels: []string{"a"}}))
		b.catalog.Hosts = []catalog.Host{{Name: "NC036"}, {Name: "NC041"}}
		catalog.Seal(b.catalog)
		defer b.start(t)()
		id, err := b.Silence(t.Context(), notify.Hush{Host: "NC036", Until: time.Now().Add(time.Hour), Reason: "new disk"})
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range map[string]int{"NC036": 1, "NC041": 0} {
			e, err := b.Explain(t.Context(), host)
			if err != nil || len(e) != 1 || len(e[0].Silenced) != want || want > 0 && e[0].Silenced[0].ID != id {
				t.Errorf("%s: %+v (%v)", host, e, err)
			}
		}
	})
}
