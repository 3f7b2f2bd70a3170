package file_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
)

func TestTLSChecks(t *testing.T) {
	const before = "address: 192.0.2.1, checks: [{"
	verification := catalog.Verification{ServerName: "www.example.net", CertificateDays: 14, CA: "/etc/ssl/own-ca.pem"}
	const keys = ", server_name: www.example.net, certificate_days: 14, ca: /etc/ssl/own-ca.pem"
	secured := catalog.TCP{Port: 8443, TLS: true, Verification: verification}
	for text, want := range map[string]catalog.Check{
		"kind: tls":            {Name: "tls 443", Options: catalog.TLS{Port: 443}},
		"kind: tls, port: 993": {Name: "tls 993", Options: catalog.TLS{Port: 993}, Interval: time.Minute},
		"kind: tls" + keys:     {Name: "tls 443", Options: catalog.TLS{Port: 443, Verification: verification}},
		"kind: tcp, port: 8443, tls: true" + keys: {Name: "tcp 8443", Options: secured},
		"kind: tcp, port: 25, tls: false":         {Name: "tcp 25", Options: catalog.TCP{Port: 25}},
	} {
		c, err := parseHost(t, before+text+"}]")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := c.Hosts[0].Checks[0]
		if want.Interval == 0 {
			want.Interval = catalog.DefaultInterval
		}
		if got.Name != want.Name || !reflect.DeepEqual(got.Options, want.Options) || got.Interval != want.Interval {
			t.Errorf("%s: %s %v %+v", text, got.Name, got.Interval, got.Options)
		}
	}
}
