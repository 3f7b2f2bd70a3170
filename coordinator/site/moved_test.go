package site_test

import (
	"net/http"
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
	if w := webtest.Get(t, h, "/hosts/old1"); w.Code != http.StatusFound || w.Header().Get("Location") != "/hosts/NC036" {
		t.Errorf("status %d, to %q", w.Code, w.Header().Get("Location"))
	}
	if w := webtest.Get(t, h, "/hosts/old2"); w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
		t.Errorf("an internal host: status %d, to %q", w.Code, w.Header().Get("Location"))
	}
	if w := webtest.Get(t, h, "/hosts/nc041"); w.Code != http.StatusOK {
		t.Errorf("a name that is in use again: status %d", w.Code)
	}
}
