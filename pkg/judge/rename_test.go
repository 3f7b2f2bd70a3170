package judge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// renaming is a catalog with other names for the same hosts and checks.
type renaming struct {
	catalog *catalog.Catalog
	hosts   map[string]string            // keys, from before to after
	checks  map[string]map[string]string // by the host's key before
}

// rename gives hosts and checks the names of one another, or new ones, by `was:`.
func rename(t *rapid.T, before *catalog.Catalog) renaming {
	r := renaming{hosts: map[string]string{}, checks: map[string]map[string]string{}}
	next := *before
	next.Hosts = slices.Clone(before.Hosts)
	var names []string
	for _, h := range next.Hosts {
		names = append(names, h.Name)
	}
	fresh := "NEW"
	for slices.Contains(names, fresh) {
		fresh += "ER"
	}
	names = append(rapid.Permutation(names).Draw(t, "hosts"), fresh)
	for i := range next.Hosts {
		h := &next.Hosts[i]
		name := names[i]
		if rapid.IntRange(0, 3).Draw(t, "a new name") == 0 && names[len(names)-1] == fresh {
			name, names[len(names)-1] = fresh, ""
		}
		r.hosts[h.Key()], r.checks[h.Key()] = mesh.Key(name), map[string]string{}
		checks := []string{}
		for _, c := range h.Checks {
			checks = append(checks, c.Name)
		}
		checks = rapid.Permutation(checks).Draw(t, "checks")
		key := h.Key()
		if name != h.Name {
			h.Was, h.Name = h.Name, name
		}
		h.Checks = slices.Clone(h.Checks)
		for k := range h.Checks {
			c := &h.Checks[k]
			r.checks[key][c.Name] = checks[k]
			if checks[k] != c.Name {
				c.Was, c.Name = c.Name, checks[k]
			}
		}
	}
	identified, err := catalog.Identify(before, &next)
	if err != nil {
		t.Fatal(err)
	}
	r.catalog = identified.Catalog
	return r
}

// batch returns what an agent sends that has the renamed catalog. NATS knows it by its name before.
func (r renaming) batch(b *mesh.Batch) *mesh.Batch {
	out := *b
	out.Revision = r.catalog.Revision
	out.Observations = slices.Clone(b.Observations)
	for i := range out.Observations {
		o := &out.Observations[i]
		o.Host, o.Check = r.hosts[o.Host], r.checks[o.Host][o.Check]
	}
	out.Gossip.Proofs, out.Gossip.Dead = r.entries(b.Gossip.Proofs), r.entries(b.Gossip.Dead)
	return &out
}

// face returns what an agent sends that has the catalog as Facing gives it.
func face(agents *catalog.Agents, b *mesh.Batch) *mesh.Batch {
	out := *b
	out.Revision = agents.Facing().Revision
	out.Observations = slices.Clone(b.Observations)
	for i := range out.Observations {
		out.Observations[i].Host = agents.Called(out.Observations[i].Host)
	}
	called := func(all []mesh.GossipEntry) []mesh.GossipEntry {
		all = slices.Clone(all)
		for i := range all {
			all[i].Host = agents.Called(all[i].Host)
		}
		return all
	}
	out.Gossip.Proofs, out.Gossip.Dead = called(b.Gossip.Proofs), called(b.Gossip.Dead)
	return &out
}

func (r renaming) entries(all []mesh.GossipEntry) (out []mesh.GossipEntry) {
	for _, e := range all {
		out = append(out, mesh.GossipEntry{Host: r.hosts[e.Host], At: e.At})
	}
	return out
}

// decided is what a transition says without names.
type decided struct {
	Sequence     uint64
	Host, Check  string // ids
	Was, Verdict mesh.Verdict
	From, To     mesh.Status
	Began        time.Time
	Tally        mesh.Tally
}

func decidedIn(all []mesh.Transition) (out []decided) {
	for _, t := range all {
		out = append(out, decided{t.Sequence, t.HostID, t.CheckID, t.Was, t.Verdict, t.From, t.To, t.Began, t.Tally})
	}
	slices.SortFunc(out, func(a, b decided) int {
		return strings.Compare(fmt.Sprint(a.Sequence, a.Host, a.Check), fmt.Sprint(b.Sequence, b.Host, b.Check))
	})
	return out
}

// A history with renames gives the same verdicts as without them, wherever they come in it, whatever they swap, and
// however late each agent gets the catalog, with the new names or with those that NATS knows the agents by.
func TestRenamesChangeNoVerdict(t *testing.T) {
	w := newWorld()
	w.checks = []string{"smtp", "imap", "ping"}
	w.addRegions([]string{"ams", "lon", "van", "nyc:2", "tor", "syd"})
	w.begin()
	fail := func(what string, from ...string) {
		w.eachPath(what, from, func(p path) { w.broken[p] = "refused" })
	}
	w.play(20 * time.Second)
	fail("AMS1/smtp")
	w.play(20 * time.Second)
	fail("LON1/*", "van", "syd", "tor")
	fail("NYC1/*")
	w.play(40 * time.Second)
	clear(w.broken)
	w.play(40 * time.Second)
	if len(w.published) < 30 {
		t.Fatalf("only %d transitions", len(w.published))
	}
	same := *w.catalog
	same.Page.Title = "another title"
	catalog.Seal(&same)
	roster := w.roster()
	rapid.Check(t, func(t *rapid.T) {
		r := rename(t, w.catalog)
		faced := rapid.Bool().Draw(t, "agents keep the names")
		var agents catalog.Agents
		agents.SetCatalog(w.catalog)
		agents.SetRoster(roster)
		agents.SetCatalog(r.catalog)
		at := rapid.IntRange(1, len(w.inputs)-1).Draw(t, "renamed at")
		late := map[string]int{} // when each agent has the catalog
		for _, agent := range roster.Vantages {
			late[agent] = at + rapid.IntRange(0, 200).Draw(t, "late")
		}
		plain := judge.New(judge.Start{Catalog: w.catalog, Roster: roster})
		renamed := judge.New(judge.Start{Catalog: w.catalog, Roster: roster})
		var want, got []mesh.Transition
		for i, in := range w.inputs {
			if i == at {
				change := judge.Input{Sequence: in.Sequence, At: in.At, Offset: in.Offset, Catalog: &same}
				want = append(want, plain.Step(change).Transitions...)
				change.Catalog = r.catalog
				got = append(got, renamed.Step(change).Transitions...)
			}
			want = append(want, plain.Step(in).Transitions...)
			if in.Batch != nil && i >= late[in.Batch.Agent] {
				in.Batch = r.batch(in.Batch)
				if faced {
					in.Batch = face(&agents, in.Batch)
				}
			}
			got = append(got, renamed.Step(in).Transitions...)
		}
		if diff := cmp.Diff(decidedIn(want), decidedIn(got)); diff != "" {
			t.Fatal(diff)
		}
		if len(renamed.Snapshot().Hosts) != len(w.catalog.Hosts) || renamed.Ignored() != plain.Ignored() {
			t.Fatalf("%d observations ignored, without renames %d", renamed.Ignored(), plain.Ignored())
		}
	})
}

// A judge that starts after a rename, and replays what agents sent before it, has the verdicts of one that never
// stopped. Without the catalogs from before it would read the names of one host as another's.
func TestAJudgeThatStartsAfterARename(t *testing.T) {
	w := newWorld()
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor", "syd"})
	w.begin()
	w.play(20 * time.Second)
	w.eachPath("AMS1/smtp", nil, func(p path) { w.broken[p] = "refused" })
	w.play(20 * time.Second)
	before, inputs := w.catalog, w.inputs
	if err := renameIn(w, map[string]string{"AMS1": "LON1", "LON1": "AMS1"}); err != nil {
		t.Fatal(err)
	}
	want := verdictsOf(w.judge)
	if want["lon1/smtp"] != mesh.Down && want["LON1/smtp"] != mesh.Down {
		t.Fatal(want)
	}
	for _, earlier := range [][]*catalog.Catalog{{before}, nil} {
		restarted := judge.New(judge.Start{Catalog: w.present, Earlier: earlier, Roster: w.roster()})
		for _, in := range inputs {
			restarted.Step(in)
		}
		if diff := cmp.Diff(want, verdictsOf(restarted)); (diff == "") != (earlier != nil) {
			t.Errorf("with %d catalogs from before: %s", len(earlier), diff)
		}
	}
}
