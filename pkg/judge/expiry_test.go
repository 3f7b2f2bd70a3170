package judge_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
)

func (w *world) pass(d time.Duration) {
	for range d / step {
		w.elapsed += step
		w.step()
	}
}

func (w *world) state(check string) mesh.CheckState {
	for _, h := range w.snapshot().Hosts {
		for _, c := range h.Checks {
			if h.Name+"/"+c.Name == check {
				return c
			}
		}
	}
	return mesh.CheckState{}
}

// newWebWorld is a mesh whose hosts have a check with certificate_days, and one with a body too.
func newWebWorld() *world {
	w := newWorld()
	w.expiry = map[string]*mesh.Expiry{}
	w.checks = []string{"web", "webmail"}
	w.addRegions([]string{"ams", "lon", "van", "nyc", "tor"})
	w.begin()
	return w
}

// Whatever vantages report of a certificate's end is one advisory, never a vote, and goes with the certificate.
func TestACertificateThatEndsSoonIsOneAdvisory(t *testing.T) {
	w := newWebWorld()
	ends := func(days int) *mesh.Expiry {
		return &mesh.Expiry{What: mesh.Certificate, At: epoch.Add(time.Duration(days)*24*time.Hour + time.Hour)}
	}
	w.pass(20 * time.Second)
	for _, test := range []struct {
		name   string
		expiry map[string]*mesh.Expiry
		want   string
	}{
		{"it lasts", nil, ""},
		{"all see it", map[string]*mesh.Expiry{
			"lon1": ends(4), "van1": ends(4), "nyc1": ends(4), "tor1": ends(4), "ams1": ends(4),
		}, "certificate ends in 4 days"},
		{"some see an earlier one", map[string]*mesh.Expiry{"lon1": ends(9), "van1": ends(3)},
			"certificate ends in 3 days, as 2 of 4 vantages see it"},
		{"agents of another catalog report more days", map[string]*mesh.Expiry{"lon1": ends(20)}, ""},
		{"it is renewed", nil, ""},
	} {
		w.expiry = test.expiry
		w.pass(25 * time.Second)
		c := w.state("AMS1/web")
		if got := strings.Join(c.Advisories, "; "); got != test.want || c.Verdict != mesh.Up ||
			(c.Expiry != nil) != (test.want != "") {
			t.Errorf("%s: %s %q, want %q", test.name, c.Verdict, got, test.want)
		}
	}
	for _, tr := range w.published {
		if tr.Was != mesh.Pending {
			t.Errorf("published %+v", tr)
		}
	}
}

// What nobody has seen for long is no advisory.
func TestAnExpiryIsForgottenWithItsResults(t *testing.T) {
	w := newWebWorld()
	for _, a := range w.agents {
		w.expiry[a.key] = &mesh.Expiry{What: mesh.Certificate, At: epoch.Add(time.Hour)}
	}
	w.pass(20 * time.Second)
	if w.state("AMS1/web").Expiry == nil {
		t.Fatal("no expiry")
	}
	w.eachPath("AMS1/web", nil, func(p path) { w.broken[p] = "refused" })
	w.pass(40 * time.Second)
	if c := w.state("AMS1/web"); c.Expiry != nil || c.Verdict != mesh.Down {
		t.Errorf("%s, %+v", c.Verdict, c.Expiry)
	}
}

// Agents of version N-1 report a certificate that ends soon as a failure. That is an advisory too, if they asked for
// nothing that they had not tested by then. Otherwise nobody knows.
func TestAgentsOfTheVersionBeforeDoNotTurnAnAdvisoryIntoAnOutage(t *testing.T) {
	w := newWebWorld()
	w.pass(20 * time.Second)
	w.eachPath("AMS1/*", nil, func(p path) { w.broken[p] = "certificate expires in 4 days, wanted 14" })
	w.pass(2 * time.Minute)
	if c := w.state("AMS1/web"); c.Verdict != mesh.Up || !slices.Contains(c.Advisories, "certificate ends in 4 days") {
		t.Errorf("%s %q\n%s", c.Verdict, c.Advisories, w.votes("AMS1"))
	}
	if c := w.state("AMS1/webmail"); c.Verdict != mesh.Unknown {
		t.Errorf("%s, and nobody saw its body\n%s", c.Verdict, w.votes("AMS1"))
	}
	if n := w.asked["ams1"]; n > 0 {
		t.Errorf("%d rounds for an advisory", n)
	}
	w.eachPath("AMS1/*", nil, func(p path) { w.broken[p] = "certificate expired 1 hour ago" })
	w.pass(2 * time.Minute)
	if c := w.state("AMS1/web"); c.Verdict != mesh.Down {
		t.Errorf("expired: %s\n%s", c.Verdict, w.votes("AMS1"))
	}
}

// Other certificate_days ask the same question: the check keeps its verdict, and the advisory follows the number.
func TestOtherCertificateDaysKeepTheVerdict(t *testing.T) {
	w := newWebWorld()
	for _, a := range w.agents {
		w.expiry[a.key] = &mesh.Expiry{What: mesh.Certificate, At: epoch.AddDate(0, 0, 5)}
	}
	w.pass(20 * time.Second)
	if c := w.state("AMS1/web"); c.Verdict != mesh.Up || c.Expiry == nil {
		t.Fatalf("%s, %+v", c.Verdict, c.Expiry)
	}
	next := *w.catalog
	next.Hosts = slices.Clone(w.catalog.Hosts)
	next.Hosts[0].Checks = slices.Clone(next.Hosts[0].Checks)
	next.Hosts[0].Checks[0].Options = catalog.HTTP{
		URL: "https://www.example.net/", Verification: catalog.Verification{CertificateDays: 3},
	}
	catalog.Seal(&next)
	w.catalog = &next
	w.give(judge.Input{Catalog: &next})
	w.pass(time.Second)
	if c := w.state("AMS1/web"); c.Verdict != mesh.Up || c.Expiry != nil {
		t.Errorf("%s, %+v", c.Verdict, c.Expiry)
	}
}
