package enroller

import (
	"strings"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

func TestUnknownAgentsAreNamedAsTheCatalogSpellsThem(t *testing.T) {
	c := &catalog.Catalog{Hosts: []catalog.Host{{Name: "NC4"}, {Name: "Mail-2"}}}
	var got string
	u := unknownAgents{
		warn: func(_, text string) { got = text }, hostName: c.HostName, lastSeen: map[string]time.Time{},
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, key := range []string{"nc4", "mail-2", "gone"} {
		u.record(at, key, true)
	}
	if !strings.Contains(got, ": gone, Mail-2, NC4; let") {
		t.Errorf("the warning is %q", got)
	}
}
