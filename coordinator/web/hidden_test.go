package web_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
)

// digests are those in the ids of events. Their letters are as good as random: one in some hundred walks meets "NC1".
var digests = regexp.MustCompile(`(page|status):[\w-]{12}`)

// hide makes a host internal, in a catalog that is newer than the judge's snapshot.
func (m *markedMesh) hide(host string) {
	next := *m.catalog
	next.Hosts = slices.Clone(next.Hosts)
	for i := range next.Hosts {
		if next.Hosts[i].Name == host {
			next.Hosts[i].Public = false
		}
	}
	catalog.Seal(&next)
	m.append(ledger.CatalogEvent{Catalog: &next, Source: "test", Mesh: m.now})
	m.catalog = &next
}

// TestAHostThatBecameInternalIsOnNoPublicAddress: neither what is known of it now nor what was published before.
func TestAHostThatBecameInternalIsOnNoPublicAddress(t *testing.T) {
	m := newMarkedMesh(t)
	m.run(40 * time.Second)
	m.fail("lon", "van", "nyc", "tor", "lus", "syd", "sea")
	m.run(30 * time.Second)
	before := m.walk(t)
	for _, address := range []string{"/", "/matrix", "/api/v1/transitions", "/api/v2/incidents.json"} {
		if !strings.Contains(before[address], "NC1") {
			t.Fatalf("%s does not show the public host", address)
		}
	}
	m.hide("NC1")
	h := public(m)
	for address := range before {
		answer := visit(t, h, address)
		if strings.Contains(address, "NC1") { // errors repeat what was asked for
			emptyStream := strings.Contains(address, "/events") && !strings.Contains(answer, "data:")
			emptySearch := strings.HasPrefix(address, "/search?") && !strings.Contains(answer, "NC1")
			if !strings.HasPrefix(answer, "404") && !emptyStream && !emptySearch {
				t.Errorf("%s is still answered: %.80s", address, answer)
			}
			continue
		}
		answer = digests.ReplaceAllString(answer, "$1:")
		if strings.Contains(answer, "NC1") || strings.Contains(strings.ToLower(answer), "nc1\"") {
			t.Errorf("%s shows the internal host: %s", address, answer)
		}
	}
}

// TestACheckThatBecameInternalIsOnNoPublicAddress: neither its state nor what was measured of it before.
func TestACheckThatBecameInternalIsOnNoPublicAddress(t *testing.T) {
	m := newMarkedMesh(t)
	m.run(40 * time.Second)
	m.fail("lon", "van", "nyc", "tor", "lus", "syd", "sea")
	m.run(30 * time.Second)
	before := m.walk(t)
	for _, address := range []string{"/", "/api/v1/transitions", "/api/v1/uptime?host=NC1", "/api/v1/latency"} {
		if !strings.Contains(before[address], laterInternal) {
			t.Fatalf("%s does not show the public check", address)
		}
	}
	next := *m.catalog
	next.Hosts = slices.Clone(next.Hosts)
	h := next.Host("nc1")
	h.Checks = slices.Clone(h.Checks)
	h.Check(laterInternal).Internal = true
	catalog.Seal(&next)
	m.append(ledger.CatalogEvent{Catalog: &next, Source: "test", Mesh: m.now})
	m.catalog = &next
	for address, answer := range m.walk(t) {
		if i := strings.Index(answer, laterInternal); i >= 0 && !strings.Contains(address, laterInternal) {
			t.Errorf("%s shows the internal check: %s", address, answer[max(0, i-200):min(len(answer), i+100)])
		}
	}
}
