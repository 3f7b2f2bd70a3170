package site_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/probemesh/probemesh/coordinator/web/webtest"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
)

// The address of a host that was renamed leads to its present one, but never to an internal host.
func TestFormerAddressesLeadToTheRenamedHost(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	for _, former := range []struct{ name, now string }{{"OLD1", "NC036"}, {"OLD2", "NC023"}, {"NC041", "NC036"}} {
		s.Catalog.Former = append(s.Catalog.Former, catalog.Former{
			ID: s.Catalog.Host(mesh.Key(former.now)).Identity(), Name: former.name,
		})
	}
	h := public(s)
	if w := webtest.Get(t, h, "/hosts/old1"); w.Code != http.StatusFound ||
		w.Header().Get("Location") != "/hosts/NC036" {
		t.Errorf("status %d, to %q", w.Code, w.Header().Get("Location"))
	}
	if w := webtest.Get(t, h, "/hosts/old2"); w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
		t.Errorf("an internal host: status %d, to %q", w.Code, w.Header().Get("Location"))
	}
	if w := webtest.Get(t, h, "/hosts/nc041"); w.Code != http.StatusOK {
		t.Errorf("a name that is in use again: status %d", w.Code)
	}
}

// The page of an incident says what its hosts were called then.
func TestAnIncidentNamesItsRenamedHosts(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	s.All = webtest.Incidents()
	host := &s.All[0].Hosts[0]
	host.Was = "OLD<1>"
	s.Catalog.Host(mesh.Key(host.Name)).Title = "" // clients know one with a title by that
	want := `<a href="/hosts/` + host.Name + `">` + host.Name + `</a> <small>was <bdi>OLD&lt;1&gt;</bdi></small>`
	if text := body(t, public(s), "/incidents/"+s.All[0].ID); !strings.Contains(text, want) {
		t.Errorf("the page lacks %s", want)
	}
	if text := s.All[0].Page(s.Snapshot.At); !strings.Contains(text, host.Name+" (was OLD<1>)") {
		t.Errorf("the page as text: %s", text)
	}
}

// So does the page of a check, under its former name and under that of its host.
func TestFormerAddressesOfChecks(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	host, internal := s.Catalog.Host("nc036"), s.Catalog.Host("nc023")
	mail, other := host.Check("Sending mail"), internal.Checks[0]
	s.Catalog.Former = append(s.Catalog.Former,
		catalog.Former{ID: host.Identity(), Name: "OLD1"},
		catalog.Former{ID: host.IdentityOf(mail), Host: host.Identity(), Name: "Old mail"},
		catalog.Former{ID: host.IdentityOf(mail), Host: host.Identity(), Name: "ping"}, // in use again
		catalog.Former{ID: internal.IdentityOf(&other), Host: internal.Identity(), Name: "Old check"})
	h := public(s)
	for path, to := range map[string]string{
		"/hosts/NC036/checks/old-mail": "/hosts/NC036/checks/sending-mail",
		"/hosts/old1/checks/OLD-mail":  "/hosts/NC036/checks/sending-mail",
		"/hosts/old1/checks/ping":      "/hosts/NC036/checks/ping",
		"/hosts/NC036/checks/ping":     "",
		"/hosts/NC036/checks/never":    "404", "/hosts/NC023/checks/old-check": "404",
	} {
		w := webtest.Get(t, h, path)
		want := http.StatusFound
		switch to {
		case "":
			want = http.StatusOK
		case "404":
			want, to = http.StatusNotFound, ""
		}
		if w.Code != want || w.Header().Get("Location") != to {
			t.Errorf("%s: status %d, to %q and not %q", path, w.Code, w.Header().Get("Location"), to)
		}
	}
}

// So do the addresses of badges, also under the former name of a check.
func TestFormerAddressesOfBadges(t *testing.T) {
	s := webtest.NewSource(t, mesh.Up, mesh.Operational)
	host, internal := s.Catalog.Host("nc036"), s.Catalog.Host("nc023")
	check := host.Checks[0]
	s.Catalog.Former = append(s.Catalog.Former,
		catalog.Former{ID: host.Identity(), Name: "OLD1"}, catalog.Former{ID: internal.Identity(), Name: "OLD2"},
		catalog.Former{ID: host.IdentityOf(&check), Host: host.Identity(), Name: "Old check"})
	h := public(s)
	present := ""
	for _, c := range []struct{ path, to string }{
		{"/badge/old1.svg", "/badge/NC036.svg"},
		{"/badge/OLD1.json", "/badge/NC036.json"},
		{"/badge/NC036/old-check.svg", ""},
		{"/badge/old1/old-check.svg", ""},
		{"/badge/old2.svg", "404"},
		{"/badge/old2/old-check.svg", "404"},
		{"/badge/NC036/never.svg", "404"},
	} {
		w := webtest.Get(t, h, c.path)
		to := w.Header().Get("Location")
		switch {
		case c.to == "404":
			if w.Code != http.StatusNotFound || to != "" {
				t.Errorf("%s: status %d, to %q", c.path, w.Code, to)
			}
			continue
		case c.to == "": // of the same check
			if present == "" {
				present = to
			}
			c.to = present
		}
		if w.Code != http.StatusFound || to != c.to {
			t.Errorf("%s: status %d, to %q and not %q", c.path, w.Code, to, c.to)
		} else if w := webtest.Get(t, h, to); w.Code != http.StatusOK {
			t.Errorf("%s leads to %s: status %d", c.path, to, w.Code)
		}
	}
}
