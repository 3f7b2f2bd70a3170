package admission_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/admission"
	"github.com/probemesh/probemesh/pkg/catalog"
	catalogfile "github.com/probemesh/probemesh/pkg/catalog/file"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/persist"
	"github.com/probemesh/probemesh/pkg/wire"
)

var start = time.Date(2026, 1, 31, 2, 31, 0, 0, time.UTC)

func newCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	const text = `
regions: [{name: ams}, {name: lon}, {name: syd}]
hosts:
  - {name: A, region: ams, address: 192.0.2.1}
  - {name: B, region: lon, address: 192.0.2.2}
  - {name: C, region: syd, address: 192.0.2.3}`
	c, err := catalogfile.Parse("x", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stream is what agent A sends to a filter.
type stream struct {
	*admission.Filter
	t        *testing.T
	at       time.Time
	revision string // the catalog that A has
}

func newStream(t *testing.T) *stream {
	c := newCatalog(t)
	return &stream{admission.New(c), t, start, c.Revision}
}

// batch has n observations of a host. It waited in the agent for some time.
func (s *stream) batch(host string, n int, waited time.Duration) *mesh.Batch {
	b := &mesh.Batch{Agent: "a", Revision: s.revision, Began: s.at.Add(-waited), Connected: s.at.Add(-time.Minute)}
	for range n {
		b.Observations = append(b.Observations, mesh.Observation{
			Host: host, Check: "ping", Family: mesh.IPv4, Began: b.Began,
		})
	}
	return b
}

// send sends n messages at an interval, and returns how often they got the agent excluded.
func (s *stream) send(
	n int, every time.Duration, size int, batch func() *mesh.Batch, decodeErr error,
) (exclusions int) {
	s.t.Helper()
	for range n {
		s.at = s.at.Add(every)
		if _, excluded := s.Admit(s.at, "a", size, batch(), decodeErr); excluded {
			exclusions++
		}
	}
	return exclusions
}

func (s *stream) why() string {
	var out []string
	for _, c := range s.Excluded(s.at) {
		out = append(out, c.Agent+" "+c.Why)
	}
	return strings.Join(out, "; ")
}

// The busiest agents that work as they should.
func TestAnAgentThatBehavesIsAdmitted(t *testing.T) {
	s := newStream(t)
	heartbeat := func() *mesh.Batch { return s.batch("b", 3, time.Second) }
	news := func() *mesh.Batch { return s.batch("b", 2, 0) }
	waited := func() *mesh.Batch { return s.batch("b", 60, time.Hour) }
	none := func() *mesh.Batch { return nil }
	s.send(43200, 2*time.Second, 300, heartbeat, nil)          // a day
	s.send(75*600, time.Second/75, 300, news, nil)             // everything fails for ten minutes, in a large mesh
	s.send(200, time.Millisecond, 50_000, waited, nil)         // NATS is back after half a day
	s.send(20_000, time.Second/20, 50_000, waited, nil)        // as fast as an agent sends it
	s.send(1_000, time.Second/20, 5_000, none, wire.ErrTooOld) // some of it is too old by then
	s.send(3, time.Second, 100, none, errors.New("a fault of its version"))
	s.revision = "before" // it still has the catalog before, with a host that was removed since
	s.send(1000, time.Second, 100, func() *mesh.Batch { return s.batch("removed", 3, 0) }, nil)
	if why := s.why(); why != "" {
		t.Errorf("excluded: %s", why)
	}
}

func TestAnAgentThatMisbehavesIsExcluded(t *testing.T) {
	none := func() *mesh.Batch { return nil }
	for want, act := range map[string]func(*stream) int{
		"a sends more than 100 batches": func(s *stream) int {
			return s.send(5000, time.Millisecond, 100, func() *mesh.Batch { return s.batch("b", 1, 0) }, nil)
		},
		"256 kB": func(s *stream) int {
			return s.send(100, 20*time.Millisecond, 200<<10, func() *mesh.Batch { return s.batch("b", 1, 0) }, nil)
		},
		"2048 kB": func(s *stream) int {
			waited := func() *mesh.Batch { return s.batch("b", 1, time.Hour) }
			return s.send(200_000, 50*time.Microsecond, 100, waited, nil)
		},
		"impossible times": func(s *stream) int {
			return s.send(20, time.Second, 100, none, fmt.Errorf("x: %w", wire.ErrTime))
		},
		"malformed batches": func(s *stream) int { return s.send(20, time.Second, 100, none, errors.New("no JSON")) },
		"not assigned to it": func(s *stream) int {
			return s.send(40, time.Second, 100, func() *mesh.Batch { return s.batch("nobody", 3, 0) }, nil)
		},
	} {
		s := newStream(t)
		if n := act(s); n != 1 || !strings.Contains(s.why(), want) {
			t.Errorf("%s: excluded %d times: %q", want, n, s.why())
		}
		b := s.batch("b", 3, 0)
		b.Version = "v9"
		admitted, _ := s.Admit(s.at, "a", 100, b, nil)
		if admitted == nil || len(admitted.Observations) != 0 || admitted.Version != "v9" || len(b.Observations) != 3 {
			t.Errorf("%s: of an excluded agent the judge gets %+v", want, admitted)
		}
		if admitted, _ := s.Admit(s.at, "b", 100, s.batch("a", 3, 0), nil); len(admitted.Observations) != 3 {
			t.Errorf("%s: another agent is not admitted", want)
		}
		s.at = s.at.Add(admission.Term + time.Second)
		again, _ := s.Admit(s.at, "a", 100, s.batch("b", 3, 0), nil)
		if len(again.Observations) != 3 || s.why() != "" {
			t.Errorf("%s: a minute after the last violation: %q", want, s.why())
		}
	}
}

// Two filters with the same stream admit the same, also if its time runs backwards.
func TestAReplayExcludesTheSameAgents(t *testing.T) {
	c := newCatalog(t)
	rapid.Check(t, func(t *rapid.T) {
		first, second := admission.New(c), admission.New(c)
		at := start
		for range rapid.IntRange(1, 60).Draw(t, "messages") {
			at = at.Add(time.Duration(rapid.IntRange(-100, 2000).Draw(t, "later")) * time.Millisecond)
			agent := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "agent")
			size := rapid.IntRange(0, 2<<20).Draw(t, "size")
			b := &mesh.Batch{
				Agent: agent, Revision: c.Revision, Began: at,
				Observations: make([]mesh.Observation, rapid.IntRange(0, 9).Draw(t, "n")),
			}
			var decodeErr error
			if rapid.Bool().Draw(t, "malformed") {
				b = nil
				decodeErr = rapid.SampledFrom([]error{wire.ErrTime, wire.ErrTooOld, wire.ErrTooLarge}).Draw(t, "error")
			}
			a, x := first.Admit(at, agent, size, b, decodeErr)
			d, y := second.Admit(at, agent, size, b, decodeErr)
			if x != y || cmp.Diff(a, d) != "" || cmp.Diff(first.Excluded(at), second.Excluded(at)) != "" {
				t.Fatal("two filters differ")
			}
		}
	})
}

// An agent of version N-1 reports a host that has a name without an address family.
func TestAgentsOfVersionN1AreAdmitted(t *testing.T) {
	c := newCatalog(t)
	c.Hosts[1].Addresses = []string{"mail.example.net"}
	catalog.NameFamilies(c)
	s := newStream(t)
	s.SetCatalog(c)
	any := func() *mesh.Batch {
		b := s.batch("b", 3, 0)
		for i := range b.Observations {
			b.Observations[i].Family = mesh.AnyFamily
		}
		return b
	}
	if s.send(1000, time.Second, 100, any, nil); s.why() != "" {
		t.Errorf("excluded: %s", s.why())
	}
}

// The gossip of an excluded agent does not reach the judge.
func TestTheGossipOfAnExcludedAgentIsIgnored(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
	b := &mesh.Batch{Agent: "a", Began: at, Connected: at, Gossip: mesh.Gossip{
		Proofs: []mesh.GossipEntry{{Host: "b", At: at}}, Acks: []mesh.GossipEntry{{Host: "b", At: at}},
		Dead: []mesh.GossipEntry{{Host: "c", At: at}},
	}}
	f := admission.New(nil)
	before, _ := f.Admit(at, "a", 100, b, nil)
	if len(before.Gossip.Proofs) != 1 || len(before.Gossip.Dead) != 1 {
		t.Errorf("%+v", before.Gossip)
	}
	for range 20 {
		f.Admit(at, "a", 100, nil, errors.New("no JSON"))
	}
	admitted, _ := f.Admit(at, "a", 100, b, nil)
	if admitted == nil || len(admitted.Gossip.Proofs)+len(admitted.Gossip.Acks)+len(admitted.Gossip.Dead) != 0 {
		t.Errorf("%+v", admitted)
	}
}

// A filter that was saved and read again excludes the same agents, and admits as much more from each.
func TestASavedFilterContinuesAsTheOneItWas(t *testing.T) {
	s := newStream(t)
	for range 900 {
		s.Admit(s.at, "a", 100, s.batch("b", 1, 0), nil)
	}
	for range 40 {
		s.Admit(s.at, "b", 100, nil, errors.New("malformed"))
	}
	w := persist.Writer()
	s.Persist(w)
	read, r := admission.New(newCatalog(t)), persist.Reader(w.Bytes())
	read.Persist(r)
	if diff := cmp.Diff(s.Excluded(s.at), read.Excluded(s.at)); diff != "" || r.Err() != nil ||
		len(read.Excluded(s.at)) != 1 {
		t.Fatalf("%v; excluded are %v: %s", r.Err(), read.Excluded(s.at), diff)
	}
	for i := range 200 {
		_, want := s.Admit(s.at, "a", 100, s.batch("b", 1, 0), nil)
		if _, got := read.Admit(s.at, "a", 100, s.batch("b", 1, 0), nil); got != want {
			t.Fatalf("message %d: excluded %v, want %v", i, got, want)
		}
	}
	if len(read.Excluded(s.at)) != 2 {
		t.Error("agent a was not excluded after its thousandth batch")
	}
}
