package health_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/health"
)

// A certificate is reported some time before it ends, a short-lived one later than a long-lived one, and each by itself
// to the people who are notified.
func TestCertificatesAreReportedBeforeTheyEnd(t *testing.T) {
	day := 24 * time.Hour
	page := func(life, left time.Duration) health.Certificate {
		return health.Certificate{
			ID: "page", What: "certificate of the status page", Act: "renew it", Issued: noon.Add(left - life),
			Ends: noon.Add(left),
		}
	}
	ca := page(3650*day, 100*day)
	ca.ID, ca.What, ca.Act, ca.Ahead = "ca", "CA of the mesh", "replace it", 180*day
	for name, test := range map[string]struct {
		all  []health.Certificate
		want map[string]string
	}{
		"none":        {nil, map[string]string{}},
		"long before": {[]health.Certificate{page(90*day, 15*day)}, map[string]string{}},
		"short-lived": {[]health.Certificate{page(6*day, 3*day)}, map[string]string{}},
		"soon": {[]health.Certificate{page(90*day, 13*day+time.Hour)}, map[string]string{
			"certificate-page": "certificate of the status page ends in 13 days: renew it"}},
		"short-lived, soon": {[]health.Certificate{page(6*day, day+time.Hour)}, map[string]string{
			"certificate-page": "certificate of the status page ends in 1 day: renew it"}},
		"ended, and another": {[]health.Certificate{page(90*day, -time.Hour), ca}, map[string]string{
			"certificate-page": "certificate of the status page has ended: renew it",
			"certificate-ca":   "CA of the mesh ends in 100 days: replace it"}},
	} {
		w := health.NewWarnings(zerolog.Nop())
		w.SetCertificates(test.all, noon)
		if diff := cmp.Diff(test.want, w.Each()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if one := w.BySubject()["certificate"]; (one == "") != (len(test.want) == 0) {
			t.Errorf("%s: the warning is %q", name, one)
		}
		w.SetCertificates(nil, noon)
		if left := maps.Clone(w.Each()); len(left) > 0 {
			t.Errorf("%s: renewed, and still %v", name, left)
		}
	}
}
