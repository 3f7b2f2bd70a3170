package site_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/incident"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// The page of a check has what its host's has, of the check alone.
func TestThePageOfACheck(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.All = webtest.Incidents()
	h := public(s)
	text := body(t, h, "/hosts/NC036/checks/sending-mail")
	for _, want := range []string{
		"<h1>Sending mail: Up</h1>", `<a href="/hosts/NC036">Mail</a>`, "<dt>24 hours</dt>", "<dt>365 days</dt>",
		`<th scope="row">Toronto</th>`, `<figure class="chart" id="rtt">`, "as a table</summary>",
		`<a class="name" href="/incidents/a1-1">`, ", for 21 min 3 s", `href="/hosts/NC036/feed.atom"`,
		`data-chart-script="/assets/chart-`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page of the check lacks %s", want)
		}
	}
	if other := body(t, h, "/hosts/NC036/checks/ping"); strings.Contains(other, "/incidents/a1-1") ||
		!strings.Contains(other, "No outage in the last year.") {
		t.Error("the page of a check shows an outage of another one")
	}
	if again := body(t, h, "/hosts/nc036/checks/SENDING-MAIL"); again != text {
		t.Error("the page depends on how the address is spelt")
	}
	for _, path := range []string{"/hosts/NC036/checks/nothing", "/hosts/NC036/checks/", "/hosts/nobody/checks/ping",
		"/hosts/NC023/checks/ping"} { // the last is internal
		if w := webtest.Get(t, h, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
	host := body(t, h, "/hosts/NC036")
	for _, want := range []string{
		`href="/hosts/NC036/checks/sending-mail">Sending mail in detail</a>`, `<figure class="chart" id="rtt">`,
		`<a class="name" href="/incidents/a1-1">`, `<a href="/hosts/NC036/checks/ping#rtt">`,
	} {
		if !strings.Contains(host, want) {
			t.Errorf("the page of the host lacks %s", want)
		}
	}
}

// An outage is as long as any of the checks failed, however many failed at once, and goes on while one of them does.
func TestAnOutageIsCountedOnce(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	i := webtest.Incidents()[1]
	from := i.Began
	i.Hosts[0].Windows = []incident.Window{
		{Check: "ping", Verdict: mesh.Down, From: from, To: from.Add(10 * time.Minute)},
		{Check: "Sending mail", Verdict: mesh.Down, From: from.Add(time.Minute), To: from.Add(9 * time.Minute)},
		{Check: "ping", Verdict: mesh.Partial, From: from.Add(20 * time.Minute), To: from.Add(25 * time.Minute)},
	}
	s.All = []*incident.Incident{i}
	if text := body(t, public(s), "/hosts/NC036"); !strings.Contains(text, ", for 15 min · ping, Sending mail</small>") {
		t.Error("the outage is not 15 minutes of ping and Sending mail")
	}
	i.Hosts[0].Windows[2].To = time.Time{}
	text := body(t, public(s), "/hosts/NC036")
	if !strings.Contains(text, ", ongoing · ping, Sending mail</small>") {
		t.Error("the outage does not go on")
	}
	// Charts shade it up to now: without an end it would be a line where it began, which may be before the chart.
	now := s.Snapshot.At.Unix()
	if mark := fmt.Sprintf(`"name":"Partial","from":%d,"to":%d}`, from.Add(20*time.Minute).Unix(),
		now); !strings.Contains(text, mark) {
		t.Errorf("no chart has %s: %s", mark, regexp.MustCompile(`"marks":[^\n]*`).FindAllString(text, -1))
	}
}

// Each page says what it shows where a link to it is shared.
func TestEachPageDescribesItself(t *testing.T) {
	h := public(webtest.States(t)[1].Source)
	for path, want := range map[string]string{
		"/": "Partial outage. 1 of 5 systems affected: NC036.", "/hosts/NC036": "Mail, NC036 in Amsterdam: partial outage.",
		"/hosts/NC036/checks/sending-mail": "Sending mail of Mail, NC036 in Amsterdam: down.",
		"/incidents/b1-1":                  "Mail: Sending mail down. Identified, began on ",
		"/matrix":                          "How long every check takes to answer each region.",
		"/rule":                            "How regions decide together that a service is down.",
	} {
		text := body(t, h, path)
		for _, meta := range []string{`<meta name="description" content="`, `<meta property="og:description" content="`} {
			if !strings.Contains(text, meta+want) {
				t.Errorf("%s lacks %s%s", path, meta, want)
			}
		}
		if !strings.Contains(text, `<meta property="og:site_name" content="NinerNet status">`) {
			t.Errorf("%s does not name the site", path)
		}
	}
}

// A check whose name has no letter has a page of its own too, which every page leads to.
func TestANameWithoutLettersHasAPage(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.Catalog.Hosts[0].Checks[0].Name, s.Snapshot.Hosts[0].Checks[0].Name = "?", "?"
	s.Catalog.Hosts[0].Checks[1].Name, s.Snapshot.Hosts[0].Checks[1].Name = "!", "!"
	h := public(s)
	for name, path := range map[string]string{"?": "/hosts/NC036/checks/%3F", "!": "/hosts/NC036/checks/%21"} {
		for _, from := range []string{"/", "/hosts/NC036", "/matrix"} {
			if !strings.Contains(body(t, h, from), `href="`+path+`"`) {
				t.Errorf("%s does not lead to %s", from, path)
			}
		}
		if text := body(t, h, path); !strings.Contains(text, "<h1>"+name+": Up</h1>") {
			t.Errorf("%s is not the page of %s", path, name)
		}
	}
}
