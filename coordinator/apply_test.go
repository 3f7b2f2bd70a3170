package main

import (
	"testing"

	"github.com/probemesh/probemesh/coordinator/admin"
)

// Who applies a catalog learns why a new check is not reached, and that agents probed it without a result.
func TestApplySaysWhyRegionsDoNotReachACheck(t *testing.T) {
	for want, l := range map[string]admin.FirstLook{
		"NC036 smtp: 7 of 7 regions reach port 587": {Voters: 7, OK: 7, Port: 587},
		"NC036 smtp: 0 of 7 regions reach port 20443; 7 cannot: does not speak TLS": {
			Voters: 7, Port: 20443, Bad: admin.Sightings{Regions: 7, Why: "does not speak TLS", Same: 7},
		},
		"NC036 smtp: 0 of 7 regions reach it; 7 cannot tell: no local route": {
			Voters: 7, Inconclusive: admin.Sightings{Regions: 7, Why: "no local route", Same: 7},
		},
		"NC036 smtp: 1 of 7 regions reaches it so far; 3 cannot, mostly: timeout; 1 cannot tell; 2 have not probed it yet": {
			Voters: 7, OK: 1, Bad: admin.Sightings{Regions: 3, Why: "timeout", Same: 2},
			Inconclusive: admin.Sightings{Regions: 1, Same: 1},
		},
	} {
		l.Host, l.Check = "NC036", "smtp"
		if got := describeFirstLook(l); got != want {
			t.Errorf("apply says %q, not %q", got, want)
		}
	}
}
