package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"time"
)

// certificates are those of the demo's mail servers, by an authority of the demo's own.
type certificates struct {
	authority      string // PEM file
	valid, expired tls.Certificate
}

// newCertificates makes them, and writes the authority's into the file.
func newCertificates(file string) (c certificates, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, err
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the demonstration's authority"},
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		return c, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	issue := func(until time.Time) tls.Certificate {
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: mailName}, DNSNames: []string{mailName},
			NotBefore: now.Add(-48 * time.Hour), NotAfter: until,
		}
		der, errLeaf := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, key)
		err = errors.Join(err, errLeaf)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	c = certificates{file, issue(now.Add(90 * 24 * time.Hour)), issue(now.Add(-24 * time.Hour))}
	return c, errors.Join(err, os.WriteFile(file, text, 0o600))
}
