package notify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/engine"
	"github.com/probemesh/probemesh/coordinator/notify"
	"github.com/probemesh/probemesh/coordinator/notify/channel"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	"github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/secret"
	"github.com/probemesh/probemesh/pkg/sla"
)

const (
	// killedDir makes TestKilledNotifier, in a process of its own, a notifier on the directory's ledger.
	killedDir = "PROBEMESH_TEST_NOTIFIER"
	// killsVariable is how often the notifier is killed; without it, killsShort times.
	killsVariable = "PROBEMESH_TEST_KILLS"
	killsShort    = 8
	killSeed      = 11
)

// scripted is an outage as the test's process writes it for the notifier's.
type scripted struct {
	ID           string
	Opened, Over time.Time
}

// TestKilledNotifier is no test: it is the notifier that TestKills starts, with NATS, a ledger and its view.
func TestKilledNotifier(t *testing.T) {
	dir := os.Getenv(killedDir)
	if dir == "" {
		return // of an ordinary run
	}
	ctx := context.Background()
	s, err := server.Start(ctx, server.Config{
		Dir: filepath.Join(dir, "bus"), Listen: "127.0.0.1:0", Advertise: "127.0.0.1", Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.CoordinatorConfig()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := buscoordinator.Dial(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Lead(ctx); err != nil {
		t.Fatal(err)
	}
	led, view, err := engine.OpenLedger(ctx, conn, filepath.Join(dir, "view.db"))
	if err != nil {
		t.Fatal(err)
	}
	hook, err := os.ReadFile(filepath.Join(dir, "hook"))
	if err != nil {
		t.Fatal(err)
	}
	c := &catalog.Catalog{Notify: &catalog.Notify{
		Channels: []catalog.Channel{{Name: "a", Webhook: catalog.SecretText{Text: string(hook)}}},
		Routes:   []catalog.Route{{Channels: []string{"a"}}},
	}}
	catalog.Seal(c)
	sender := channel.Sender{Resolve: func(t catalog.SecretText) (secret.Text, error) { return secret.New(t.Text), nil }}
	_ = notify.New(notify.Config{
		Catalog: func() *catalog.Catalog { return c }, Snapshot: func() *mesh.Snapshot { return nil },
		Incidents: func(context.Context, incident.Query) ([]*incident.Incident, error) { return readScript(dir) },
		Warnings:  func() map[string]string { return nil },
		Sent:      view.Notified().Since, Append: led.Append,
		Clock: func() (time.Time, time.Duration) { return time.Now().UTC(), 0 }, Changed: soon, Send: sender.Send,
		Links:  func(notify.Alert) notify.Links { return notify.Links{} },
		Pauses: func(context.Context, time.Time) ([]sla.Window, error) { return nil, nil }, Warn: func(string, string) {},
		Logger: zerolog.Nop(),
	}).Run(ctx)
}

// soon is closed after a moment, as at the next snapshot.
func soon() <-chan struct{} {
	changed := make(chan struct{})
	time.AfterFunc(20*time.Millisecond, func() { close(changed) })
	return changed
}

func readScript(dir string) (out []*incident.Incident, err error) {
	data, err := os.ReadFile(filepath.Join(dir, "script"))
	if err != nil {
		return nil, err
	}
	var all []scripted
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	for _, s := range all {
		i := &incident.Incident{
			ID: s.ID, State: incident.Investigating, Impact: incident.Major, Began: s.Opened, Opened: s.Opened,
			Hosts: []incident.Host{{Name: "NC036", ID: "nc036", Status: mesh.PartialOutage, Worst: mesh.PartialOutage}},
		}
		if !s.Over.IsZero() {
			i.State, i.Resolved, i.Over = incident.Resolved, s.Over, s.Over
		}
		out = append(out, i)
	}
	return out, nil
}

// deduplicating is a receiver that knows which ids it has taken. It fails at random: before it takes a message, and
// after that without an answer.
type deduplicating struct {
	mu         sync.Mutex
	random     *rand.Rand
	seen       map[string]int            // deliveries by id
	types      map[string]map[string]int // by incident: how many ids of each type
	deliveries int
	steady     bool
}

func (d *deduplicating) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var m struct {
		Type string
		Data struct{ ID string }
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fate := d.random.IntN(10)
	if err != nil || !d.steady && fate == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	d.deliveries++
	id := r.Header.Get("webhook-id")
	if d.seen[id]++; d.seen[id] == 1 {
		if d.types[m.Data.ID] == nil {
			d.types[m.Data.ID] = map[string]int{}
		}
		d.types[m.Data.ID][m.Type]++
	}
	if !d.steady && fate == 1 {
		panic(http.ErrAbortHandler)
	}
}

// count returns how many incidents have a message of the type.
func (d *deduplicating) has(id, kind string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.types[id][kind] > 0
}

// outages writes the script: outages begin now and then, and each ends some time after its first message was sent.
type outages struct {
	t        *testing.T
	dir      string
	receiver *deduplicating
	random   *rand.Rand
	all      []scripted
}

func (o *outages) write() {
	data, err := json.Marshal(o.all)
	file := filepath.Join(o.dir, "script")
	if err == nil {
		err = os.WriteFile(file+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// step ends outages, and begins one if more are allowed. It reports whether all are over and reported.
func (o *outages) step(more bool) (ended bool) {
	changed, ended := false, true
	for n := range o.all {
		s := &o.all[n]
		ended = ended && o.receiver.has(s.ID, "incident.over")
		if s.Over.IsZero() && o.receiver.has(s.ID, "incident.opened") && (!more || o.random.IntN(5) == 0) {
			s.Over, changed = time.Now().UTC(), true
		}
	}
	if more && o.random.IntN(3) == 0 {
		o.all, changed = append(o.all, scripted{ID: fmt.Sprintf("i%d", len(o.all)), Opened: time.Now().UTC()}), true
	}
	if changed {
		o.write()
	}
	return ended
}

// A notifier is killed at random moments while outages begin and end. A receiver that deduplicates by id sees each
// event exactly once: PROBEMESH_TEST_KILLS=200 kills it two hundred times.
func TestKills(t *testing.T) {
	kills := killsShort
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(killSeed, uint64(kills)))
	receiver := &deduplicating{
		random: rand.New(rand.NewPCG(killSeed, 1)), seen: map[string]int{}, types: map[string]map[string]int{},
	}
	hook := httptest.NewServer(receiver)
	t.Cleanup(hook.Close)
	o := &outages{t: t, dir: t.TempDir(), receiver: receiver, random: random}
	if err := os.WriteFile(filepath.Join(o.dir, "hook"), []byte(hook.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	o.write()
	for range kills {
		kill := startNotifier(t, o.dir)
		for end := time.Now().Add(time.Duration(random.IntN(1200)) * time.Millisecond); time.Now().Before(end); {
			o.step(true)
			time.Sleep(20 * time.Millisecond)
		}
		kill()
	}
	receiver.mu.Lock()
	receiver.steady = true
	receiver.mu.Unlock()
	kill := startNotifier(t, o.dir)
	for end := time.Now().Add(5 * time.Minute); !o.step(false); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("messages are missing")
			break
		}
	}
	time.Sleep(500 * time.Millisecond) // for what must not come
	kill()
	receiver.report(t, kills, o.all)
}

// report checks that each outage was reported once when it began, and once when it was over.
func (d *deduplicating) report(t *testing.T, kills int, all []scripted) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range all {
		got := d.types[s.ID]
		if len(got) != 2 || got["incident.opened"] != 1 || got["incident.over"] != 1 {
			t.Errorf("outage %s: messages %v", s.ID, got)
		}
	}
	if len(d.seen) != 2*len(all) || len(all) < kills/2 {
		t.Errorf("%d messages about %d outages", len(d.seen), len(all))
	}
	t.Logf("%d kills, %d outages, %d messages, %d deliveries", kills, len(all), len(d.seen), d.deliveries)
}

// startNotifier starts a notifier in a separate process, and returns a function that kills it.
func startNotifier(t *testing.T, dir string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledNotifier$")
	cmd.Env = append(os.Environ(), killedDir+"="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(ended)
	return ended
}
