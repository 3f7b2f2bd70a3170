package catalog_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// mesh makes a catalog of hosts written as "NAME@ADDRESS<WAS check<was,check". Checks are TCP on the port that their
// position gives, or that follows a colon.
func parseMesh(text string) *catalog.Catalog {
	c := &catalog.Catalog{Rule: catalog.DefaultRule(), Regions: []catalog.Region{{Name: "ams"}}}
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		name, was, _ := strings.Cut(fields[0], "<")
		name, address, _ := strings.Cut(name, "@")
		h := catalog.Host{Name: name, Was: was, Region: "ams", Checks: []catalog.Check{}}
		if address != "" {
			h.Addresses = []string{"192.0.2." + address}
		}
		for i, field := range fields[1:] {
			name, was, _ := strings.Cut(field, "<")
			name, port, _ := strings.Cut(name, ":")
			o := catalog.TCP{Port: i + 1}
			if port != "" {
				fmt.Sscan(port, &o.Port)
			}
			h.Checks = append(h.Checks, catalog.Check{
				Kind: "tcp", Name: name, Was: was, Options: o,
				Interval: catalog.DefaultInterval, Timeout: catalog.DefaultTimeout,
			})
		}
		c.Hosts = append(c.Hosts, h)
	}
	return c
}

// apply applies the catalogs one after the other and returns the last.
func applyAll(t testing.TB, texts ...string) catalog.Identified {
	t.Helper()
	var last catalog.Identified
	for _, text := range texts {
		next, err := catalog.Identify(last.Catalog, parseMesh(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		last = next
	}
	return last
}

func idOf(t testing.TB, c *catalog.Catalog, host, check string) string {
	t.Helper()
	h := c.Host(strings.ToLower(host))
	if h == nil {
		t.Fatalf("no host %s", host)
	}
	if check == "" {
		return h.ID
	}
	if h.Check(check) == nil {
		t.Fatalf("no check %s %s", host, check)
	}
	return h.Check(check).ID
}

// first is the id that the names had first; "new" means an id that none of them has.
func TestIdentify(t *testing.T) {
	for _, test := range []struct {
		name     string
		catalogs []string
		want     string // "HOST=FIRST HOST/check=FIRST/check"; an exclamation mark: not that id
	}{
		{"nothing changes", []string{"A@1 x", "A@1 x"}, "A=A A/x=A/x"},
		{"respelled", []string{"NC036@1 Mail", "nc036@1 mail"}, "nc036=NC036 nc036/mail=NC036/Mail"},
		{"was", []string{"A@1 x", "B@2<A x"}, "B=A B/x=A/x"},
		{"alone left and came", []string{"A@1 x\nC@3 x", "B@1 x\nC@3 x"}, "B=A B/x=A/x C=C"},
		{"another address", []string{"A@1 x", "B@2 x"}, "B=B B/x=B/x"},
		{"two came", []string{"A@1 x", "B@1 x\nC@1 x"}, "B=B C=C"},
		{"two left", []string{"A@1 x\nB@1 x", "C@1 x"}, "C=C"},
		{"two pairs", []string{"A@1\nB@2", "C@1\nD@2"}, "C=A D=B"},
		{"no address", []string{"A", "B"}, "B=B"},
		{"swap", []string{"A@1 x\nB@2 x", "A@2<B x\nB@1<A x"}, "A=B B=A A/x=B/x B/x=A/x"},
		{"cycle", []string{"A@1\nB@2\nC@3", "B@1<A\nC@2<B\nA@3<C"}, "A=C B=A C=B"},
		{"chain", []string{"A@1\nB@2", "B@1<A\nC@2<B"}, "B=A C=B"},
		{"was stays in the file", []string{"A@1", "B@1<A", "B@1<A"}, "B=A"},
		{"a swap stays in the file", []string{"A@1\nB@2", "A@2<B\nB@1<A", "A@2<B\nB@1<A"}, "A=B B=A"},
		{"was stays, and the name is used again", []string{"A@1 x", "B@1<A x", "B@1<A x\nA@9 x"},
			"B=A B/x=A/x A!=A A/x!=A/x"},
		{"was is taken out", []string{"A@1", "B@1<A", "B@1"}, "B=A"},
		{"and back again", []string{"A@1", "B@1<A", "A@1<B"}, "A=A"},
		{"by itself and back again", []string{"A@1", "B@1", "A@1"}, "A=A"},
		{"was names the one before the one before", []string{"A@1", "B@1", "C@5<A"}, "C=A"},
		{"removed and added again", []string{"A@1 x", "B@2", "A@1 x"}, "A=A A/x=A/x"},
		{"renamed, removed, and its first name used again", []string{"A@1 x", "B@1 x", "C@2", "A@7 x\nC@2"},
			"A!=A A/x!=A/x"},
		{"the second of a name, renamed; then a third", []string{"A@1", "B@1", "B@1\nA@2", "B@1\nC@2", "B@1\nC@2\nA@3"},
			"B=A A!=A"},
		{"was without effect", []string{"A@1", "A@1\nB@2<Z"}, "A=A B=B"},
		{"was at the first start", []string{"B@1<A x<y"}, "B=B B/x=B/x"},
		{"check was", []string{"A@1 x y", "A@1 z:9<x y"}, "A/z=A/x A/y=A/y"},
		{"check alone", []string{"A@1 x y", "A@1 z y"}, "A/z=A/x A/y=A/y"},
		{"check asks something else", []string{"A@1 x y", "A@1 z:9 y"}, "A/z=A/z"},
		{"check at another address", []string{"A@1 x", "A@2 z"}, "A/z=A/z"},
		{"two checks of one question left", []string{"A@1 x:5 y:5", "A@1 z:5"}, "A/z=A/z"},
		{"checks swap", []string{"A@1 x:1 y:2", "A@1 x:2<y y:1<x"}, "A/x=A/y A/y=A/x"},
		{"host and check at once", []string{"A@1 x", "B@1<A z"}, "B=A B/z=A/x"},
		{"a new check of a renamed host", []string{"A@1 x", "B@1<A x", "B@1 x y:2", "B@1 x y:2\nA@2 y"},
			"B/y!=A/y A/y!=B/y"},
		{"a check name used again", []string{"A@1 x:1", "A@1 y:1", "A@1 y:1 x:2"}, "A/y=A/x A/x!=A/x"},
	} {
		c := applyAll(t, test.catalogs...).Catalog
		first := func(name string) string {
			host, check, ok := strings.Cut(name, "/")
			if !ok {
				return catalog.FirstHostID(host)
			}
			return catalog.FirstCheckID(host, check)
		}
		for want := range strings.FieldsSeq(test.want) {
			name, id, _ := strings.Cut(want, "=")
			name, not := strings.CutSuffix(name, "!")
			host, check, _ := strings.Cut(name, "/")
			if got := idOf(t, c, host, check); (got == first(id)) == not {
				t.Errorf("%s: %s has the id %s; wanted %s (%s)", test.name, name, got, want, first(id))
			}
		}
		data, err := catalog.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := catalog.Decode(data)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		catalog.Seal(again)
		if again.Revision != c.Revision || len(again.Former) != len(c.Former) {
			t.Errorf("%s: decoded as another catalog", test.name)
		}
	}
}

func TestMergingAndDividingIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ before, after, want string }{
		"into an existing host":  {"A@1\nB@2", "B@2<A", "host B was A: B is there already, with a history of its own"},
		"into an existing check": {"A@1 x y", "A@1 y<x", "check A y was x: y is there already"},
		"two of one":             {"A@1", "B@1<A\nC@2<A", "another one was A, too"},
		"one that stays":         {"A@1", "A@1\nB@2<A", "A is still in the catalog"},
		"half a swap":            {"A@1\nB@2", "A@2<B\nB@1", "still in the catalog"},
	} {
		before := applyAll(t, test.before).Catalog
		if got, err := catalog.Identify(before, parseMesh(test.after)); err == nil ||
			!strings.Contains(err.Error(), test.want) || got.Catalog != nil {
			t.Errorf("%s: %v, wanted %q", name, err, test.want)
		}
	}
}

func TestWhatIdentifySays(t *testing.T) {
	for name, test := range map[string]struct{ before, after, want string }{
		"stated":            {"A@1", "B@2<A", "B: keeps the history of the host A"},
		"recognized":        {"A@1 x", "A@1 y", "A y: keeps the history of the check x, since it asks the same"},
		"two left":          {"A@1\nB@1", "C@1", "C is new; if it was A or B before, write was: A"},
		"another address":   {"A@1", "B@2", "B is new; if it was A before, write was: A"},
		"another question":  {"A@1 x:1", "A@1 y:2", "A y is new; if it was x before, write was: x"},
		"no such host":      {"A@1", "A@1\nB@2<Z", "B: was Z has no effect, since there was no such host"},
		"nothing":           {"A@1 x", "A@1 x", ""},
		"only the spelling": {"A@1 x", "a@1 X", ""},
		"only new":          {"A@1 x", "A@1 x y\nB@2", ""},
	} {
		got, err := catalog.Identify(applyAll(t, test.before).Catalog, parseMesh(test.after))
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, n := range got.Notes {
			if h := got.Catalog.Host(mesh.Key(n.Host)); h == nil || n.Check != "" && h.Check(n.Check) == nil {
				t.Errorf("%s: a note about %s %s", name, n.Host, n.Check)
			}
			text += n.Text + "\n"
		}
		for _, r := range got.Renames {
			text += r.String() + "\n"
		}
		if (test.want == "") != (text == "") || !strings.Contains(text, test.want) {
			t.Errorf("%s: %q, wanted %q", name, text, test.want)
		}
	}
}

func TestFormerNamesLeadToTheirHostsAndChecksWhileUnused(t *testing.T) {
	renamed := applyAll(t, "A@1 x", "B@1 y").Catalog
	if h := renamed.FormerHost("a"); h == nil || h.Name != "B" {
		t.Error("A is not found")
	} else if c := renamed.FormerCheck(h, "X"); c == nil || c.Name != "y" {
		t.Error("x is not found")
	}
	used := applyAll(t, "A@1 x", "B@1 y", "B@1 y x:9\nA@2 x").Catalog
	if used.FormerHost("A") != nil || used.FormerCheck(used.Host("b"), "x") != nil {
		t.Error("a name that is in use leads elsewhere")
	}
}

// The revision of a catalog that was never renamed is the one that versions without ids computed.
func TestIDsThatFollowFromNamesDoNotChangeTheRevision(t *testing.T) {
	c := applyAll(t, "A@1 x\nB@2 y").Catalog
	var fields map[string]any
	data, _ := catalog.Encode(c)
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, h := range fields["hosts"].([]any) {
		delete(h.(map[string]any), "id")
		for _, check := range h.(map[string]any)["checks"].([]any) {
			delete(check.(map[string]any), "id")
		}
	}
	data, _ = json.Marshal(fields)
	before, err := catalog.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if idOf(t, before, "B", "y") != idOf(t, c, "B", "y") || idOf(t, before, "A", "") != catalog.FirstHostID("A") {
		t.Error("a catalog without ids has others")
	}
	catalog.Seal(before)
	next, err := catalog.Identify(before, parseMesh("A@1 x\nB@2 y"))
	if err != nil || before.Revision != c.Revision || next.Catalog.Revision != c.Revision {
		t.Errorf("revision %s, before %s, %v", c.Revision, before.Revision, err)
	}
}

// The same names may mean other hosts later: the revision then differs, as agents' batches name it.
func TestOtherIDsAreAnotherRevision(t *testing.T) {
	before := applyAll(t, "A@1\nB@2").Catalog
	after := applyAll(t, "A@1\nB@2", "B@1<A\nA@2<B", "B@1\nA@2", "A@1\nB@2").Catalog
	if before.Revision == after.Revision || idOf(t, after, "A", "") != catalog.FirstHostID("B") {
		t.Error("a swapped catalog has the revision of the one before")
	}
}

// Whatever is applied, ids are unique, a name that stays keeps its id, and the same catalog again changes nothing.
func TestIdentifyProperties(t *testing.T) {
	draw := func(t *rapid.T) string {
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"A", "B", "C", "D"}), 1, 4, rapid.ID).Draw(t, "hosts")
		text := ""
		for _, name := range names {
			text += fmt.Sprintf("%s@%d", name, rapid.IntRange(1, 4).Draw(t, "address"))
			if rapid.Bool().Draw(t, "was") {
				text += "<" + rapid.SampledFrom([]string{"A", "B", "C", "D"}).Draw(t, "of")
			}
			checks := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"x", "y", "z"}), 0, 3, rapid.ID).Draw(t, "checks")
			for _, check := range checks {
				text += fmt.Sprintf(" %s:%d", check, rapid.IntRange(1, 3).Draw(t, "port"))
			}
			text += "\n"
		}
		return text
	}
	rapid.Check(t, func(t *rapid.T) {
		var last *catalog.Catalog
		owner := map[string]string{} // the first name of each id
		for range rapid.IntRange(1, 6).Draw(t, "catalogs") {
			next, err := catalog.Identify(last, parseMesh(draw(t)))
			if err != nil {
				continue
			}
			data, _ := catalog.Encode(next.Catalog)
			if _, err := catalog.Decode(data); err != nil { // it checks that ids are unique
				t.Fatal(err)
			}
			for i := range next.Catalog.Hosts {
				h := &next.Catalog.Hosts[i]
				if last != nil && h.Was == "" && last.Host(h.Key()) != nil && last.Host(h.Key()).ID != h.ID {
					t.Fatalf("%s has another id", h.Name)
				}
				if _, known := owner[h.ID]; !known {
					owner[h.ID] = h.Name
				}
				if last != nil && last.HostByID(h.ID) == nil && owner[h.ID] != h.Name {
					t.Fatalf("%s has the id of %s, which left before", h.Name, owner[h.ID])
				}
			}
			again, err := catalog.Identify(next.Catalog, next.Catalog)
			if err != nil || again.Catalog.Revision != next.Catalog.Revision || len(again.Renames) > 0 {
				t.Fatalf("the same again: %v %v", again.Renames, err)
			}
			last = next.Catalog
		}
	})
}
