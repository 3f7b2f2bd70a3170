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
	smtp, imap, pop3 := mailOf(catalog.KindSMTP, 25), mailOf(catalog.KindIMAP, 993), mailOf(catalog.KindPOP3, 110)
	for text, want := range map[string]catalog.Check{
		"kind: tls":            {Name: "tls 443", Options: catalog.TLS{Port: 443}},
		"kind: tls, port: 993": {Name: "tls 993", Options: catalog.TLS{Port: 993}, Interval: time.Minute},
		"kind: tls" + keys:     {Name: "tls 443", Options: catalog.TLS{Port: 443, Verification: verification}},
		"kind: tcp, port: 8443, tls: true" + keys: {Name: "tcp 8443", Options: secured},
		"kind: tcp, port: 25, tls: false":         {Name: "tcp 25", Options: catalog.TCP{Port: 25}},
		"kind: smtp":                              {Name: "smtp 25", Options: smtp, Interval: time.Minute},
		"kind: imap, tls: true":                   {Name: "imap 993", Options: imap, Interval: time.Minute},
		"kind: pop3, interval: 2m":                {Name: "pop3 110", Options: pop3, Interval: 2 * time.Minute},
		"kind: smtp, port: 587, starttls: true" + keys: {Name: "smtp 587", Interval: time.Minute, Options: catalog.SMTP{
			MailSession: catalog.MailSession{Port: 587, StartTLS: true, Verification: verification},
		}},
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

func mailOf(kind string, port int) catalog.Options {
	return catalog.NewMailOptions(kind, catalog.MailSession{Port: port, TLS: port == 993})
}
