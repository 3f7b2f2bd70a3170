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
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// testdata/v1 is recorded from a mesh of the first format: its stream of observations, its ledger, and its verdicts. It
// is never recorded again; a new format gets a directory of its own beside it.
var record = flag.Bool("record", false, "record testdata/v1 if it is missing")

const firstFormat = "testdata/v1"

// storedMessage is a message of the stream, as it is recorded.
type storedMessage struct {
	Time  time.Time `json:"time"`
	Kind  bus.Kind  `json:"kind"`
	Agent string    `json:"agent,omitempty"`
	Age   string    `json:"age,omitempty"`
	Link  string    `json:"link,omitempty"`
	Data  string    `json:"data,omitempty"`
}

// storedEvent is an event of the ledger, as it is recorded.
type storedEvent struct {
	Time    time.Time `json:"time"`
	Subject string    `json:"subject"`
	Data    string    `json:"data"`
}

// reached is the part of a transition that is compared: a better rule may word it differently, but not decide
// differently.
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

// What a newer version may send: a kind of check, fields and an outcome that this version does not know.
const (
	unknownKind = "telepathy"
	newerBatch  = `{"v":2,"a":"nc2","e":"77","n":1,"w":946684800000000,"mood":"good","o":[` +
		`{"h":"nc1","k":"telepathy","t":0,"s":"!","aura":{"colour":"blue"}},` +
		`{"h":"nc1","k":"ping","f":4,"t":0,"r":0,"s":"+","p":1,"twin":7}]}`
)

func withUnknownKind(c *catalog.Catalog) *catalog.Catalog {
	unknown := catalog.Check{Kind: unknownKind, Name: unknownKind, Interval: 10 * time.Second, Timeout: time.Second}
	c.Hosts[0].Checks = append(slices.Clone(c.Hosts[0].Checks), unknown)
	catalog.Seal(c)
	return c
}

// The catalog in the ledger has a host with a name and no address families, as an early version stored it.
func TestAStoredCatalogOfAnEarlyVersionIsUpgraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := fourHosts(t)
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
		t.Fatal("it is recorded already: it must never change")
	}
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), withUnknownKind(fourHosts(t))
		w.namesRounds = true
		e, stop := w.run(t, node.CoreConfig{Catalog: c})
		enrollAll(t, e)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		h := wire.EncodeHeaders(10*time.Millisecond, time.Hour)
		header := func(k string) string { return h[k] }
		w.store(bus.Message{Kind: bus.Batch, Agent: "nc2", Header: header, Data: []byte(newerBatch)})
		w.observe(t, c, mesh.Unreachable, 20*time.Second)
		w.observe(t, c, mesh.Reachable, 20*time.Second)
		next := withUnknownKind(readdressed(t))
		if _, err := e.Catalogs.Apply(t.Context(), next, "the second", false); err != nil {
			t.Fatal(err)
		}
		w.observe(t, next, mesh.Reachable, 20*time.Second)
		ts, err := e.History.Transitions(t.Context(), "", time.Time{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		mustStop(t, stop)
		var stream, events, verdicts []any
		for _, m := range w.messages {
			o := storedMessage{Time: m.Time, Kind: m.Kind, Agent: m.Agent, Data: string(m.Data)}
			if m.Header != nil {
				o.Age, o.Link = m.Header(wire.HeaderAge), m.Header(wire.HeaderLink)
			}
			stream = append(stream, o)
		}
		for _, r := range w.records {
			events = append(events, storedEvent{r.Time, r.Subject, string(r.Data)})
		}
		for _, v := range reachedBy(ts) {
			verdicts = append(verdicts, v)
		}
		writeLines(t, "stream.jsonl", stream)
		writeLines(t, "ledger.jsonl", events)
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

// recorded returns a world of the first format.
func recorded(t *testing.T, withVerdicts bool) *world {
	t.Helper()
	w := newWorld(t)
	for i, o := range readLines[storedMessage](t, "stream.jsonl") {
		m := bus.Message{Sequence: uint64(i) + 1, Time: o.Time, Kind: o.Kind, Agent: o.Agent, Data: []byte(o.Data)}
		m.Header = func(k string) string { return map[string]string{wire.HeaderAge: o.Age, wire.HeaderLink: o.Link}[k] }
		w.messages = append(w.messages, m)
	}
	for _, r := range readLines[storedEvent](t, "ledger.jsonl") {
		if withVerdicts || !strings.HasPrefix(r.Subject, "transition.") {
			w.records = append(w.records, ledger.Record{
				Sequence: uint64(len(w.records)) + 1, Time: r.Time, Subject: r.Subject, Data: []byte(r.Data),
			})
		}
	}
	return w
}

// Traffic of the first format is judged as it was then: nothing is rejected, and the same verdicts are reached with the
// same beginnings. It contains unknown fields, outcomes and kinds of checks.
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
				t.Errorf("a check of an unknown kind is %s", check.Verdict)
			}
		}
		mustStop(t, stop)
	})
}

// The ledger of the first format still has its history, members and catalog.
func TestTheLedgerOfTheFirstFormatIsRead(t *testing.T) {
	w := recorded(t, true)
	e, v, err := w.open(t, node.CoreConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ts, err := e.History.Transitions(t.Context(), "", time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readLines[reached](t, "verdicts.jsonl"), reachedBy(ts)); diff != "" {
		t.Errorf("the history differs: %s", diff)
	}
	roster, err := v.Roster(t.Context())
	if err != nil || !slices.Equal(roster.Vantages, []string{"nc1", "nc2", "nc3", "nc4"}) {
		t.Errorf("the roster is %v (%v)", roster, err)
	}
	inForce, err := v.Catalog(t.Context())
	if err != nil || inForce.Source != "the second" || len(inForce.Catalog.Hosts) != 4 ||
		inForce.Catalog.Hosts[0].Addresses[0] != "192.0.2.99" {
		t.Errorf("the catalog in force is %+v (%v)", inForce, err)
	}
	incidents, err := e.History.Incidents(t.Context(), incident.Query{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d transitions, %d incidents", len(ts), len(incidents))
}
