package engine_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/probemesh/probemesh/coordinator/node"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// testdata/v1 is what a mesh of the first format said and kept: its stream of observations, its ledger, and the verdicts that
// were reached. It is kept for ever, and no later version writes it anew; a new format gets a folder of its own beside it.
var record = flag.Bool("record", false, "record testdata/v1, where it is not there yet")

const firstFormat = "testdata/v1"

// observed is a message of the stream, as it is recorded.
type observed struct {
	Time  time.Time `json:"time"`
	Kind  bus.Kind  `json:"kind"`
	Agent string    `json:"agent,omitempty"`
	Age   string    `json:"age,omitempty"`
	Link  string    `json:"link,omitempty"`
	Data  string    `json:"data,omitempty"`
}

// kept is an event of the ledger, as it is recorded.
type kept struct {
	Time    time.Time `json:"time"`
	Subject string    `json:"subject"`
	Data    string    `json:"data"`
}

// reached is what is compared of a transition: a better rule may word it in another way, but not decide another thing.
type reached struct {
	Host    string       `json:"host"`
	Check   string       `json:"check"`
	Was     mesh.Verdict `json:"was"`
	Verdict mesh.Verdict `json:"verdict"`
	From    mesh.Status  `json:"from"`
	To      mesh.Status  `json:"to"`
	Began   time.Time    `json:"began"`
}

func reachedBy(ts []mesh.Transition) (out []reached) {
	for _, t := range ts {
		out = append(out, reached{t.Host, t.Check, t.Was, t.Verdict, t.From, t.To, t.Began.UTC().Truncate(time.Second)})
	}
	return out
}

// from another time: a kind of check, fields and an outcome that this version does not know.
const (
	unknownKind  = "telepathy"
	strangeBatch = `{"v":2,"a":"nc2","e":"77","n":1,"w":946684800000000,"mood":"good","o":[` +
		`{"h":"nc1","k":"telepathy","t":0,"s":"!","aura":{"colour":"blue"}},{"h":"nc1","k":"ping","f":4,"t":0,"r":0,"s":"+","p":1,"twin":7}]}`
)

func withUnknownKind(c *catalog.Catalog) *catalog.Catalog {
	c.Hosts[0].Checks = append(slices.Clone(c.Hosts[0].Checks), catalog.Check{Kind: unknownKind, Name: unknownKind, Interval: 10 * time.Second, Timeout: time.Second})
	catalog.Seal(c)
	return c
}

// TestAStoredCatalogOfTheVersionBeforeIsUpgraded has an engine find a catalog in its ledger whose hosts have names
// and no families.
func TestAStoredCatalogOfTheVersionBeforeIsUpgraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newCatalog(t)
		before.Hosts[0].Addresses = []string{"nc1.example.net"}
		catalog.Seal(before)
		w := newWorld(t)
		_, stop := w.run(t, node.CoreConfig{Catalog: before})
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		e, stop := w.run(t, node.CoreConfig{})
		synctest.Wait()
		after, _ := e.Engine.Current()
		if got := after.Hosts[0].Checks[0].Families; len(got) != 2 || after.Revision == before.Revision {
			t.Errorf("families %v, revision %s", got, after.Revision)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRecordTheFirstFormat(t *testing.T) {
	if !*record {
		return
	}
	if files, err := os.ReadDir(firstFormat); err == nil && len(files) > 0 {
		t.Fatal("it is recorded already, and for ever")
	}
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), withUnknownKind(newCatalog(t))
		w.answers = true
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrol(t, e)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		h := wire.EncodeHeaders(10*time.Millisecond, time.Hour)
		w.put(bus.Message{Kind: bus.Batch, Agent: "nc2", Header: func(k string) string { return h[k] }, Data: []byte(strangeBatch)})
		w.see(t, c, mesh.Unreachable, 20*time.Second)
		w.see(t, c, mesh.Reachable, 20*time.Second)
		next := withUnknownKind(moved(t))
		if _, err := e.Catalogs.Apply(t.Context(), next, "the second", false); err != nil {
			t.Fatal(err)
		}
		w.see(t, next, mesh.Reachable, 20*time.Second)
		ts, err := e.History.Transitions(t.Context(), "", time.Time{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		end(t, stop)
		var stream, book, verdicts []any
		for _, m := range w.messages {
			o := observed{Time: m.Time, Kind: m.Kind, Agent: m.Agent, Data: string(m.Data)}
			if m.Header != nil {
				o.Age, o.Link = m.Header(wire.HeaderAge), m.Header(wire.HeaderLink)
			}
			stream = append(stream, o)
		}
		for _, r := range w.records {
			book = append(book, kept{r.Time, r.Subject, string(r.Data)})
		}
		for _, v := range reachedBy(ts) {
			verdicts = append(verdicts, v)
		}
		writeLines(t, "stream.jsonl", stream)
		writeLines(t, "ledger.jsonl", book)
		writeLines(t, "verdicts.jsonl", verdicts)
	})
}

func writeLines(t *testing.T, name string, lines []any) {
	t.Helper()
	var out bytes.Buffer
	for _, line := range lines {
		if err := json.NewEncoder(&out).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(firstFormat, name), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readLines[T any](t *testing.T, name string) (out []T) {
	t.Helper()
	f, err := os.Open(filepath.Join(firstFormat, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if len(out) == 0 || lines.Err() != nil {
		t.Fatal(name, "is empty or broken:", lines.Err())
	}
	return out
}

// recorded is a world as the first format left it.
func recorded(t *testing.T, withVerdicts bool) *world {
	t.Helper()
	w := newWorld(t)
	for i, o := range readLines[observed](t, "stream.jsonl") {
		m := bus.Message{Sequence: uint64(i) + 1, Time: o.Time, Kind: o.Kind, Agent: o.Agent, Data: []byte(o.Data)}
		m.Header = func(k string) string { return map[string]string{wire.HeaderAge: o.Age, wire.HeaderLink: o.Link}[k] }
		w.messages = append(w.messages, m)
	}
	for _, r := range readLines[kept](t, "ledger.jsonl") {
		if withVerdicts || !strings.HasPrefix(r.Subject, "transition.") {
			w.records = append(w.records, ledger.Record{Sequence: uint64(len(w.records)) + 1, Time: r.Time, Subject: r.Subject, Data: []byte(r.Data)})
		}
	}
	return w
}

// What agents of the first format said is judged as it was then: nothing of it is rejected, and the same verdicts are reached
// with the same beginnings. Unknown fields, outcomes and kinds of checks are in it.
func TestTrafficOfTheFirstFormatIsJudgedAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := recorded(t, false)
		time.Sleep(time.Until(w.messages[len(w.messages)-1].Time.Add(time.Second)))
		e, stop := w.run(t, node.CoreConfig{})
		for !e.Engine.Ready() {
			time.Sleep(100 * time.Millisecond)
		}
		ts, err := e.History.Transitions(t.Context(), "", time.Time{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(readLines[reached](t, "verdicts.jsonl"), reachedBy(ts)); diff != "" {
			t.Errorf("the verdicts differ from those of the first format: %s", diff)
		}
		if n := e.Engine.Counters()["rejected"]; n > 0 {
			t.Errorf("%d messages are rejected", n)
		}
		_, s := e.Engine.Current()
		for _, check := range s.Hosts[0].Checks {
			if check.Name == unknownKind && (check.Verdict == mesh.Down || check.Verdict == mesh.Up) {
				t.Errorf("a kind of check that nobody knows is %s", check.Verdict)
			}
		}
		end(t, stop)
	})
}

// The ledger of the first format still tells its history, who had joined, and the catalog in force.
func TestTheLedgerOfTheFirstFormatIsRead(t *testing.T) {
	w := recorded(t, true)
	e, book, err := w.open(t, node.CoreConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	ts, err := e.History.Transitions(t.Context(), "", time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readLines[reached](t, "verdicts.jsonl"), reachedBy(ts)); diff != "" {
		t.Errorf("the history differs: %s", diff)
	}
	roster, err := book.Roster(t.Context())
	if err != nil || !slices.Equal(roster.Vantages, []string{"nc1", "nc2", "nc3", "nc4"}) {
		t.Errorf("the roster is %v (%v)", roster, err)
	}
	inForce, err := book.Catalog(t.Context())
	if err != nil || inForce.Source != "the second" || len(inForce.Catalog.Hosts) != 4 || inForce.Catalog.Hosts[0].Addresses[0] != "192.0.2.99" {
		t.Errorf("the catalog in force is %+v (%v)", inForce, err)
	}
	incidents, err := e.History.Incidents(t.Context(), time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d transitions, %d incidents", len(ts), len(incidents))
}
