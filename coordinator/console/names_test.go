package console_test

import (
	"context"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/console"
	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// renamed is a source of a mesh whose host NC036 and its ping were renamed: to NC999 and "echo". Since then, a new host
// is called NC036, and one of the transitions is of that one.
type renamed struct {
	source
	then  *webtest.Source // before
	asked *[]string       // hosts whose transitions were asked for, with whether that was up to a moment
	open  *[]incident.Query
}

func (r renamed) TransitionsIn(
	_ context.Context, host string, since, until time.Time, _ int,
) (out []mesh.Transition, err error) {
	if until.IsZero() {
		*r.asked = append(*r.asked, host)
	} else {
		*r.asked = append(*r.asked, host+" until "+time.Since(until).Round(time.Minute).String())
	}
	c, _ := r.Current()
	at := time.Now().Add(-2 * time.Hour)
	for n, h := range []catalog.Host{c.Hosts[0], c.Hosts[len(c.Hosts)-1]} {
		check := &h.Checks[0]
		out = append(out, mesh.Transition{
			ID: "x", Sequence: uint64(70 + n), Host: h.Name, HostID: h.Identity(), Check: check.Name,
			CheckID: h.IdentityOf(check), Was: mesh.Up, Verdict: mesh.Down, Began: at, Published: at,
			Sentence: "Down: " + h.Identity(),
		})
	}
	return out, nil
}

func (r renamed) Incidents(_ context.Context, q incident.Query) ([]*incident.Incident, error) {
	*r.open = append(*r.open, q)
	return nil, nil
}

// DecidedAt returns the fall of a host that has left the catalog since, beside one of the host that was renamed.
func (r renamed) DecidedAt(_ context.Context, sequence uint64) ([]mesh.Transition, error) {
	at := time.Date(2026, 3, 1, 2, 31, 7, 5e8, time.UTC)
	return []mesh.Transition{{
		ID: "71-gone-1", Sequence: sequence, Host: map[uint64]string{71: "GONE", 72: "NC999"}[sequence], Was: mesh.Up,
		Check: "echo", Verdict: mesh.Down, Began: at, Published: at, Votes: []mesh.RegionVote{
			{Region: "london", Vote: mesh.Bad, Edges: []mesh.EdgeState{{Vantage: "nc023", Vote: mesh.Bad}}},
		},
	}}, nil
}

func newRenamedConsole(t *testing.T) (http.Handler, renamed) {
	t.Helper()
	now, then := webtest.NewSource(t, mesh.Up, mesh.Operational), webtest.NewSource(t, mesh.Up, mesh.Operational)
	s := renamed{source{now}, then, new([]string), new([]incident.Query)}
	next := *s.Catalog
	next.Hosts = slices.Clone(next.Hosts)
	h, state := &next.Hosts[0], &s.Snapshot.Hosts[0]
	fresh, freshState := *h, *state
	fresh.ID, fresh.Checks = "0123456789ab", slices.Clone(h.Checks)
	for i := range fresh.Checks {
		fresh.Checks[i].ID = "0123456789a" + string(rune('0'+i))
	}
	h.ID, h.Checks, state.Checks = h.Identity(), slices.Clone(h.Checks), slices.Clone(state.Checks)
	h.Checks[0].ID = h.IdentityOf(&h.Checks[0])
	next.Former = []catalog.Former{{ID: h.ID, Name: "NC036"}, {ID: h.Checks[0].ID, Host: h.ID, Name: h.Checks[0].Name}}
	h.Name, h.Checks[0].Name = "NC999", "echo"
	state.Name, state.Checks[0].Name = "NC999", "echo"
	next.Hosts, s.Snapshot.Hosts = append(next.Hosts, fresh), append(s.Snapshot.Hosts, freshState)
	s.Catalog = &next
	for _, one := range []*webtest.Source{s.Source, s.then} {
		for _, host := range one.Snapshot.Hosts {
			one.Snapshot.Vantages = append(one.Snapshot.Vantages, mesh.VantageState{
				Name: host.Name, Region: host.Region, LastBatch: one.Snapshot.At,
			})
		}
	}
	return console.New(console.Config{
		Source: s, Past: replayed{s.then, nil}, Site: notFound, Logger: zerolog.Nop(),
	}), s
}

// A host and a check are found at a moment by what they were called then and by what they are called now, with their
// own changes: those of another one with the name are not among them.
func TestAMomentBeforeARename(t *testing.T) {
	h, s := newRenamedConsole(t)
	ofHost := func(asked string) bool { return strings.HasPrefix(asked, "nc999") }
	id, other := s.Catalog.Hosts[0].ID, s.Catalog.Hosts[len(s.Catalog.Hosts)-1].ID
	for path, title := range map[string]string{
		"/hosts/NC999": "NC999", "/hosts/NC999?at=1h": "NC036", "/hosts/NC036?at=1h": "NC036",
		"/hosts/NC999/checks/echo?at=1h": "NC036 ping", "/hosts/nc036/checks/echo?at=1h": "NC036 ping",
		"/hosts/NC036/checks/ping?at=1h": "NC036 ping", "/hosts/NC999/checks/ping": "NC999 echo",
		"/pairs/NC023/NC999/echo?at=1h": "NC023 to NC036 ping", "/pairs/NC999/NC023/ping?at=1h": "NC036 to NC023 ping",
		"/hosts/NC999/checks/echo/year?at=1h": "NC036 ping", "/hosts/NC999/checks/echo/minutes?at=1h": "NC036 ping",
	} {
		*s.asked = nil
		w := get(t, h, "localhost", path)
		text := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(text, "<title>"+title) {
			t.Errorf("%s: status %d, %.80q", path, w.Code, text[max(0, strings.Index(text, "<title>")):])
		}
		about := strings.Contains(text, "Down: "+id)
		if strings.Contains(text, "Down: "+other) || slices.ContainsFunc(*s.asked, ofHost) && !about {
			t.Errorf("%s: its own changes: %v", path, about)
		}
	}
	// From there, links lead to the host itself, at present and at other moments.
	for path, now := range map[string]string{
		"/hosts/NC036?at=1h": "/hosts/NC999", "/hosts/NC036/checks/ping?at=1h": "/hosts/NC999/checks/echo",
		"/pairs/NC036/NC023/ping?at=1h": "/pairs/NC999/NC023/ping", "/matrix?at=1h": "/matrix",
	} {
		text := get(t, h, "localhost", path).Body.String()
		step := regexp.MustCompile(`<a href="([^"?]*)[^"]*">5 minutes later`).FindStringSubmatch(text)
		if !strings.Contains(text, `class="now" href="`+now+`"`) || step == nil || step[1] != now {
			t.Errorf("%s leads to %q", path, step)
		}
	}
	// The new host has its own changes alone.
	if text := get(t, h, "localhost", "/hosts/NC036").Body.String(); strings.Contains(text, "Down: "+id) ||
		!strings.Contains(text, "Down: "+other) {
		t.Error("the page of the new NC036 has changes of the host that was called so")
	}
	for path, want := range map[string]string{
		"/hosts/NC040x?at=1h": "The catalog of that moment has no host NC040x.", "/hosts/NC040x": "The catalog has no host",
	} {
		if w := get(t, h, "localhost", path); w.Code != 404 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}

// What is read for a moment ends at that moment: what came later does not displace it. At present nothing is left out,
// also not what was published before the wall clock was stepped back.
func TestTransitionsAreReadUpToTheMoment(t *testing.T) {
	h, s := newRenamedConsole(t)
	for path, want := range map[string]string{
		"/": "", "/?at=1h": " until 1h0m0s", "/hosts/NC999": "nc999", "/hosts/NC999?at=1h": "nc999 until 1h0m0s",
		"/pairs/NC023/NC999/echo?at=1h": "nc999 until 1h0m0s",
	} {
		*s.asked = nil
		get(t, h, "localhost", path)
		if !slices.Contains(*s.asked, want) {
			t.Errorf("%s asks for %q", path, *s.asked)
		}
	}
	ahead := *s.Snapshot
	ahead.At = time.Now().Add(-3 * time.Hour) // the transitions were published an hour later by the clock of then
	ahead.Offset = 3 * time.Hour
	s.Show(&ahead)
	text := get(t, h, "localhost", "/hosts/NC999").Body.String()
	if !strings.Contains(text, "Down: "+s.Catalog.Hosts[0].ID) ||
		!strings.Contains(text, `<a href="/transitions/70#x" aria`) {
		t.Error("a change from before a step of the clock is not shown, or leads to a moment in the future")
	}
	back := ahead
	back.At = time.Now().Add(-50 * time.Hour) // before all that can be shown
	s.Show(&back)
	if text := get(t, h, "localhost", "/hosts/NC999").Body.String(); !strings.Contains(text, "5 minutes earlier") {
		t.Error("no moment after the step can be chosen")
	}
}

// Incidents of a moment are those that were open then, whatever the offset of the clocks is.
func TestIncidentsOfAMoment(t *testing.T) {
	h, s := newRenamedConsole(t)
	shown := *s.Snapshot
	shown.Offset = time.Hour // the wall clock was stepped back
	s.Show(&shown)
	get(t, h, "localhost", "/")
	get(t, h, "localhost", "/?at=2h")
	if len(*s.open) != 2 {
		t.Fatalf("%d questions", len(*s.open))
	}
	now, then := (*s.open)[0], (*s.open)[1]
	if !now.Since.Equal(shown.At) || !now.Until.IsZero() || !then.Until.Equal(then.Since) {
		t.Errorf("asked for %+v and %+v", now, then)
	}
}

// The links of a page of the past lead to exactly its moment, whatever the names in them are.
func TestLinksLeadToTheExactMoment(t *testing.T) {
	h, host := newOddConsole(t)
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Second).Add(123456789).Format(time.RFC3339Nano)
	text := html.UnescapeString(get(t, h, "localhost", "/hosts/"+host+"?at="+at).Body.String())
	for _, name := range []string{"+1", "TCP%2025", "a%2Fb"} {
		want := `href="/hosts/` + host + "/checks/" + name + "?at=" + strings.ReplaceAll(at, ":", "%3A") + `"`
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if !strings.Contains(text, `value="`+at+`"`) || !strings.Contains(text, "--at "+at) {
		t.Error("the field or the command has another moment")
	}
	if w := get(t, h, "localhost", "/hosts/"+host+"/checks/%3F%3F"); w.Code != http.StatusNotFound {
		t.Errorf("a check that nobody has: status %d", w.Code)
	}
}

// The page of a change of what has left the catalog leads to the moment in which it was there.
func TestAChangeOfWhatIsGoneHasNoDeadLinks(t *testing.T) {
	h, _ := newRenamedConsole(t)
	const at = "?at=2026-03-01T02%3A31%3A08Z"
	gone := get(t, h, "localhost", "/transitions/71").Body.String()
	here := strings.ToUpper(get(t, h, "localhost", "/transitions/72").Body.String())
	for _, link := range []string{"/hosts/GONE", "/hosts/GONE/checks/echo", "/pairs/NC023/GONE/echo", "/regions/london"} {
		if !strings.Contains(gone, `href="`+link+at+`"`) {
			t.Errorf("no link to %s then", link)
		}
		if link = strings.ReplaceAll(link, "GONE", "NC999"); !strings.Contains(here, strings.ToUpper(`href="`+link+`"`)) {
			t.Errorf("no link to %s now", link)
		}
	}
}
