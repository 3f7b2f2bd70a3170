package probe

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"
)

func TestACertificateLastsAsLongAsItsBestChain(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	ends := func(name string, days int) *x509.Certificate {
		return &x509.Certificate{
			Raw: []byte(name), Subject: pkix.Name{CommonName: name}, NotAfter: now.AddDate(0, 0, days),
		}
	}
	leaf, short, root, oldRoot := ends("www", 60), ends("short", 5), ends("root", 900), ends("old root", 3)
	for name, test := range map[string]struct {
		chains [][]*x509.Certificate
		days   int
		want   string
	}{
		"nothing is asked": {[][]*x509.Certificate{{leaf, short, root}}, 0, ""},
		"all last":         {[][]*x509.Certificate{{leaf, root}}, 14, ""},
		"the leaf ends":    {[][]*x509.Certificate{{leaf, root}}, 90, "certificate ends in 60 days"},
		"exactly as long":  {[][]*x509.Certificate{{leaf, root}}, 60, ""},
		"an intermediate ends": {[][]*x509.Certificate{{leaf, short, root}}, 14,
			`certificate of the issuer "short" ends in 5 days`},
		"a cross-signed root ends": {[][]*x509.Certificate{{leaf, oldRoot}, {leaf, root}}, 14, ""},
		"the better one comes first": {[][]*x509.Certificate{{leaf, short, root}, {leaf, oldRoot}}, 14,
			`certificate of the issuer "short" ends in 5 days`},
		"no chain is known": {nil, 90, "certificate ends in 60 days"},
	} {
		s := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: test.chains}
		got := ""
		if e := expiresSoon(s, test.days, now); e != nil {
			got = e.Describe(now)
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
