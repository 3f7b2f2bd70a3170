package probe_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
)

// authority signs certificates that this test's process trusts.
var authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// TestMain makes the authority one of the system's roots, which crypto/x509 reads once, when first needed.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "probe")
	if err == nil {
		err = makeAuthority(filepath.Join(dir, "ca.pem"))
	}
	if err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func makeAuthority(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	authority.key = key
	if authority.certificate, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return errors.Join(os.WriteFile(file, text, 0o600), os.Setenv("SSL_CERT_FILE", file))
}

// issue makes a certificate for the name.
func issue(t *testing.T, name string) tls.Certificate { return issueFor(t, name, 24*time.Hour) }

// issueFor makes a certificate that lasts for some time from now.
func issueFor(t testing.TB, name string, lasts time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(lasts),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.certificate, &key.PublicKey, authority.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A certificate that ends soon is an advisory beside a good answer, and one that has ended fails the check.
func TestACertificateThatEndsSoonIsNoFailure(t *testing.T) {
	serve := func(lasts time.Duration, days int) probe.Result {
		site := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		site.TLS = &tls.Config{Certificates: []tls.Certificate{issueFor(t, "mail.example.net", lasts)}}
		site.Config.ErrorLog = log.New(io.Discard, "", 0)
		site.StartTLS()
		defer site.Close()
		url := fmt.Sprintf("https://mail.example.net:%d/", site.Listener.Addr().(*net.TCPAddr).Port)
		return once(t, probe.Kernel{}, catalog.Check{
			Kind: catalog.KindHTTP, Timeout: patience,
			Options: catalog.HTTP{URL: url, Verification: catalog.Verification{CertificateDays: days}},
		}, "127.0.0.1")
	}
	if got := serve(12*time.Hour, 14); !got.Outcome.Good() || got.Expiry == nil ||
		got.Expiry.Describe(time.Now()) != "certificate ends in 11 hours" {
		t.Errorf("%+v, %+v", got, got.Expiry)
	}
	if got := serve(12*time.Hour, 0); !got.Outcome.Good() || got.Expiry != nil {
		t.Errorf("nothing is asked: %+v, %+v", got, got.Expiry)
	}
	want(t, serve(-time.Hour, 14), mesh.Unreachable, "certificate expired 1 hour ago")
}

// Servers that refuse TLS send an alert; the reason explains it.
func TestTLSRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		config *tls.Config
		reason string
	}{
		{"client certificate, TLS 1.3", &tls.Config{ClientAuth: tls.RequireAnyClientCert},
			"TLS refused: certificate required: it wants a client certificate"},
		{"client certificate, TLS 1.2", &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12},
			"TLS refused: "},
		{"an old protocol", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			"TLS refused: protocol version not supported: it speaks none of TLS 1.2 and 1.3"},
		{"no cipher in common", &tls.Config{
			MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA},
		}, "TLS refused: handshake failure: no cipher or key exchange in common"},
	} {
		t.Run(test.name, func(t *testing.T) {
			site := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			site.TLS = test.config
			site.TLS.Certificates = []tls.Certificate{issue(t, "mail.example.net")}
			site.Config.ErrorLog = log.New(io.Discard, "", 0)
			site.StartTLS()
			defer site.Close()
			port := site.Listener.Addr().(*net.TCPAddr).Port
			check := catalog.Check{
				Kind: catalog.KindHTTP, Timeout: patience,
				Options: catalog.HTTP{URL: fmt.Sprintf("https://mail.example.net:%d/", port)},
			}
			got := once(t, probe.Kernel{}, check, "127.0.0.1")
			want(t, got, mesh.Unreachable, test.reason)
			if f := mesh.ClassifyReason(got.Reason); f.Kind != mesh.EncryptionFailed {
				t.Errorf("%q is classified as %q", got.Reason, f)
			}
		})
	}
}

// A server that answers a handshake with anything else does not speak TLS.
func TestServersWithoutTLS(t *testing.T) {
	for _, said := range []string{"220 mail.example.net ESMTP\r\n", "HTTP/1.0 400 Bad Request\r\n\r\n"} {
		port := server(t, "127.0.0.1", func(c net.Conn) {
			io.WriteString(c, said)
			io.Copy(io.Discard, c)
		})
		check := catalog.Check{
			Kind: catalog.KindHTTP, Timeout: patience,
			Options: catalog.HTTP{URL: fmt.Sprintf("https://mail.example.net:%d/", port)},
		}
		want(t, once(t, probe.Kernel{}, check, "127.0.0.1"), mesh.Unreachable, "does not speak TLS")
	}
}
