package server

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
	"io/fs"
	"math/big"
	"path/filepath"
	"sync"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/privatefile"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

// authority is the mesh's own CA, which signs the servers' certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

const (
	validFor = 10 * 365 * 24 * time.Hour // of the CA and of a cluster's nodes; those are replaced by hand
	// Certificates begin in the past, so that a machine whose clock is behind can connect.
	validBefore = 24 * time.Hour
)

// certificateMax bounds what is read as the CA's certificate, which has less than a kilobyte.
const certificateMax = 64 << 10

// openAuthority reads the CA from the directory, or creates it there.
func openAuthority(dir string) (*authority, error) {
	certificate, _, err := regularfile.Read(filepath.Join(dir, "ca.pem"), certificateMax)
	if errors.Is(err, fs.ErrNotExist) {
		return newAuthority(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read the mesh's CA: %w", err)
	}
	key, err := privatefile.Read(filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, fmt.Errorf("read the mesh's CA: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("read the mesh's CA in %s: %w", dir, err)
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read the mesh's CA in %s: not an ECDSA key", dir)
	}
	return &authority{pair.Leaf, private, certificate}, nil
}

// newAuthority creates the CA in the directory.
func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create the mesh's CA: %w", err)
	}
	template, err := certificateTemplate(time.Now(), "probemesh CA")
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("create the mesh's CA: %w", err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("create the mesh's CA: %w", err)
	}
	// The certificate last: openAuthority takes its presence to mean that the pair is complete.
	if err := privatefile.Write(filepath.Join(dir, "ca.key"), encodePEM("EC PRIVATE KEY", private)); err != nil {
		return nil, fmt.Errorf("write the mesh's CA: %w", err)
	}
	if err := privatefile.Write(filepath.Join(dir, "ca.pem"), encodePEM("CERTIFICATE", der)); err != nil {
		return nil, fmt.Errorf("write the mesh's CA: %w", err)
	}
	return openAuthority(dir)
}

// certificateTemplate returns what all certificates have in common.
func certificateTemplate(now time.Time, name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("create a certificate: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-validBefore), NotAfter: now.Add(validFor),
	}, nil
}

// certificates returns the server's certificate, and replaces it when a third of its life is left, so that a server
// that runs for years needs no restart. It exists in memory only.
type certificates struct {
	ca   *authority
	life time.Duration

	mu   sync.Mutex
	leaf *tls.Certificate // nil before the first connection
	ends time.Time
}

// config returns the server's TLS configuration. It asks for the certificate at each handshake.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(time.Now()) },
	}
}

// current returns a certificate that is valid at the time. If none can be created it returns the former one with an
// error.
func (c *certificates) current(now time.Time) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A certificate from the future was created before the wall clock was stepped back, and clients do not accept it
	// yet.
	if created := c.ends.Add(-c.life); c.leaf != nil && !now.Before(created) && now.Before(c.ends.Add(-c.life/3)) {
		return c.leaf, nil
	}
	next, err := c.ca.issue(now, c.life)
	if err != nil {
		return c.leaf, err
	}
	c.leaf, c.ends = &next, now.Add(c.life)
	return c.leaf, nil
}

// issue creates a certificate of the server. It includes the CA, for agents that join and know only its fingerprint.
func (a *authority) issue(now time.Time, life time.Duration) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("create the server's certificate: %w", err)
	}
	template, err := certificateTemplate(now, bus.ServerName)
	if err != nil {
		return tls.Certificate{}, err
	}
	template.DNSNames, template.NotAfter = []string{bus.ServerName}, now.Add(life)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("create the server's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("create the server's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.certificate.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
