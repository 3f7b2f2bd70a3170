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
	"github.com/probemesh/probemesh/pkg/wire"
)

var start = time.Date(2026, 1, 31, 2, 31, 0, 0, time.UTC)

func newCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalogfile.Parse("x", []byte("regions: [{name: ams}, {name: lon}, {name: syd}]\nhosts: [{name: A, region: ams, address: 192.0.2.1}, "+
		"{name: B, region: lon, address: 192.0.2.2}, {name: C, region: syd, address: 192.0.2.3}]"), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// story is a ward, and the stream's time.
type story struct {
	*admission.Ward
	t        *testing.T
	at       time.Time
	revision string
}

func tell(t *testing.T) *story {
	c := newCatalog(t)
	return &story{admission.New(c), t, start, c.Revision}
}

// batch is what an agent says: n observations of a host.
func (s *story) batch(host string, n int, waited time.Duration) *mesh.Batch {
	b := &mesh.Batch{Agent: "a", Revision: s.revision, Began: s.at.Add(-waited), Connected: s.at.Add(-time.Minute)}
	for range n {
		b.Observations = append(b.Observations, mesh.Observation{Host: host, Check: "ping", Family: mesh.IPv4, Began: b.Began})
	}
	return b
}

// say says something n times, each so long after the one before, and reports how often it cut the agent off.
func (s *story) say(n int, every time.Duration, size int, batch func() *mesh.Batch, unread error) (cuts int) {
	s.t.Helper()
	for range n {
		s.at = s.at.Add(every)
		if _, cut := s.Take(s.at, "a", size, batch(), unread); cut {
			cuts++
		}
	}
	return cuts
}

func (s *story) why() string {
	var out []string
	for _, c := range s.Cases(s.at) {
		out = append(out, c.Agent+" "+c.Why)
	}
	return strings.Join(out, "; ")
}

func TestWhoBehavesIsHeard(t *testing.T) {
	s := tell(t)
	heartbeat := func() *mesh.Batch { return s.batch("b", 3, time.Second) }
	news := func() *mesh.Batch { return s.batch("b", 2, 0) }
	waited := func() *mesh.Batch { return s.batch("b", 60, time.Hour) }
	none := func() *mesh.Batch { return nil }
	s.say(43200, 2*time.Second, 300, heartbeat, nil)          // a day
	s.say(75*600, time.Second/75, 300, news, nil)             // everything is down for ten minutes, in a large mesh
	s.say(200, time.Millisecond, 50_000, waited, nil)         // it comes back from half a day without the bus
	s.say(20_000, time.Second/20, 50_000, waited, nil)        // as fast as it may
	s.say(1_000, time.Second/20, 5_000, none, wire.ErrTooOld) // and brings what is too old
	s.say(3, time.Second, 100, none, errors.New("a fault of its version"))
	s.revision = "before" // it has not heard of the catalog in force, that it does not look at gone hosts any more
	s.say(1000, time.Second, 100, func() *mesh.Batch { return s.batch("gone", 3, 0) }, nil)
	if why := s.why(); why != "" {
		t.Errorf("cut off: %s", why)
	}
}

func TestWhoDoesNotIsCutOffAndNamed(t *testing.T) {
	none := func() *mesh.Batch { return nil }
	for want, act := range map[string]func(*story) int{
		"a floods": func(s *story) int {
			return s.say(5000, time.Millisecond, 100, func() *mesh.Batch { return s.batch("b", 1, 0) }, nil)
		},
		"256 kB": func(s *story) int {
			return s.say(100, 20*time.Millisecond, 200<<10, func() *mesh.Batch { return s.batch("b", 1, 0) }, nil)
		},
		"2048 kB": func(s *story) int {
			return s.say(200_000, 50*time.Microsecond, 100, func() *mesh.Batch { return s.batch("b", 1, time.Hour) }, nil)
		},
		"lies about time": func(s *story) int { return s.say(20, time.Second, 100, none, fmt.Errorf("x: %w", wire.ErrTime)) },
		"cannot be read":  func(s *story) int { return s.say(20, time.Second, 100, none, errors.New("no JSON")) },
		"checks that are not its own": func(s *story) int {
			return s.say(40, time.Second, 100, func() *mesh.Batch { return s.batch("nobody", 3, 0) }, nil)
		},
	} {
		s := tell(t)
		if cuts := act(s); cuts != 1 || !strings.Contains(s.why(), want) {
			t.Errorf("%s: cut off %d times: %q", want, cuts, s.why())
		}
		b := s.batch("b", 3, 0)
		b.Version = "v9"
		heard, _ := s.Take(s.at, "a", 100, b, nil)
		if heard == nil || len(heard.Observations) != 0 || heard.Version != "v9" || len(b.Observations) != 3 {
			t.Errorf("%s: of one who is cut off the judge hears %+v", want, heard)
		}
		if heard, _ := s.Take(s.at, "b", 100, s.batch("a", 3, 0), nil); len(heard.Observations) != 3 {
			t.Errorf("%s: another is not heard", want)
		}
		s.at = s.at.Add(admission.Term + time.Second)
		if heard, _ := s.Take(s.at, "a", 100, s.batch("b", 3, 0), nil); len(heard.Observations) != 3 || s.why() != "" {
			t.Errorf("%s: after a minute of silence it is %q", want, s.why())
		}
	}
}

// Whatever the stream holds, two wards that hear it say the same, and time that runs backwards frees nobody.
func TestAReplayCutsOffTheSame(t *testing.T) {
	c := newCatalog(t)
	rapid.Check(t, func(t *rapid.T) {
		first, second := admission.New(c), admission.New(c)
		at := start
		for range rapid.IntRange(1, 60).Draw(t, "messages") {
			at = at.Add(time.Duration(rapid.IntRange(-100, 2000).Draw(t, "later")) * time.Millisecond)
			agent := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "agent")
			size := rapid.IntRange(0, 2<<20).Draw(t, "size")
			b := &mesh.Batch{Agent: agent, Revision: c.Revision, Began: at, Observations: make([]mesh.Observation, rapid.IntRange(0, 9).Draw(t, "n"))}
			var unread error
			if rapid.Bool().Draw(t, "unread") {
				b, unread = nil, rapid.SampledFrom([]error{wire.ErrTime, wire.ErrTooOld, wire.ErrTooLarge}).Draw(t, "error")
			}
			a, x := first.Take(at, agent, size, b, unread)
			d, y := second.Take(at, agent, size, b, unread)
			if x != y || cmp.Diff(a, d) != "" || cmp.Diff(first.Cases(at), second.Cases(at)) != "" {
				t.Fatal("two wards differ")
			}
		}
	})
}

// TestAgentsOfTheVersionBeforeAreHeard has one speak of a name without a family, as it knows none.
func TestAgentsOfTheVersionBeforeAreHeard(t *testing.T) {
	c := newCatalog(t)
	c.Hosts[1].Addresses = []string{"mail.example.net"}
	catalog.NameFamilies(c)
	s := tell(t)
	s.SetCatalog(c)
	any := func() *mesh.Batch {
		b := s.batch("b", 3, 0)
		for i := range b.Observations {
			b.Observations[i].Family = mesh.AnyFamily
		}
		return b
	}
	if s.say(1000, time.Second, 100, any, nil); s.why() != "" {
		t.Errorf("cut off: %s", s.why())
	}
}

// What the gossip of an agent that is cut off reports of other hosts does not reach the judge.
func TestTheGossipOfWhoIsCutOffIsIgnored(t *testing.T) {
	at := time.Date(2026, 3, 1, 2, 30, 0, 0, time.UTC)
	b := &mesh.Batch{Agent: "a", Began: at, Connected: at, Gossip: mesh.Gossip{
		Proofs: []mesh.Rumour{{Host: "b", At: at}}, Acks: []mesh.Rumour{{Host: "b", At: at}}, Dead: []mesh.Rumour{{Host: "c", At: at}},
	}}
	w := admission.New(nil)
	if heard, _ := w.Take(at, "a", 100, b, nil); len(heard.Gossip.Proofs) != 1 || len(heard.Gossip.Dead) != 1 {
		t.Errorf("%+v", heard.Gossip)
	}
	for range 20 {
		w.Take(at, "a", 100, nil, errors.New("no JSON"))
	}
	heard, _ := w.Take(at, "a", 100, b, nil)
	if heard == nil || len(heard.Gossip.Proofs)+len(heard.Gossip.Acks)+len(heard.Gossip.Dead) != 0 {
		t.Errorf("%+v", heard)
	}
}
