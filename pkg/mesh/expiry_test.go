package mesh_test

import (
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

func TestAnExpiryIsDescribedInWholeDays(t *testing.T) {
	const day = 24 * time.Hour
	for left, want := range map[time.Duration]string{
		5*day - time.Second: "certificate ends in 4 days",
		2*day - time.Second: "certificate ends in 1 day",
		day:                 "certificate ends in 1 day",
		day - time.Second:   "certificate ends in 23 hours",
		time.Hour:           "certificate ends in 1 hour",
		time.Second:         "certificate ends within an hour",
		0:                   "certificate has ended",
	} {
		e := mesh.Expiry{What: mesh.Certificate, At: noon.Add(left)}
		if got := e.Describe(noon); got != want {
			t.Errorf("%v left: %q, want %q", left, got, want)
		}
	}
	e := mesh.Expiry{What: mesh.Certificate, At: noon.Add(5 * day), Issuer: "R3"}
	if got := e.Describe(noon); got != `certificate of the issuer "R3" ends in 5 days` {
		t.Errorf("%q", got)
	}
}

func TestFormerReasonsOfCertificatesThatEndSoon(t *testing.T) {
	for reason, want := range map[string]string{
		"certificate expires in 4 days, wanted 14":                   "certificate ends in 4 days",
		`certificate expires in 1 day, wanted 14: of its issuer "R"`: "certificate ends in 1 day",
		"certificate expires in 3 hours, wanted 14":                  "certificate ends in 3 hours",
		"certificate expires in 9 minutes, wanted 14":                "certificate ends within an hour",
		"certificate expires in -4 days, wanted 14":                  "",
		"certificate expires in 4000 days, wanted 14":                "",
		"certificate expires in 4 moons, wanted 14":                  "",
		"certificate expired 2 hours ago":                            "",
		"status 503":                                                 "",
	} {
		got := ""
		if e, ok := mesh.FormerExpiry(reason, noon); ok {
			got = e.Describe(noon)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", reason, got, want)
		}
	}
}
