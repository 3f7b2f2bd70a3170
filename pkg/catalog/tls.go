package catalog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/probemesh/probemesh/pkg/address"
)

const (
	// KindTLS is the kind of TLS.
	KindTLS = "tls"
	// TLSPort is where a check of the kind TLS connects by default.
	TLSPort = 443

	// kindTCPOverTLS is how a TCP check with TLS is encoded. Agents of version N-1 would ignore the field and connect
	// without TLS, and then vote on another question; a kind that they do not know is inconclusive.
	kindTCPOverTLS = "tcp+tls"
)

// Verification is how a server's certificate is verified, for the kinds of checks that use TLS.
type Verification struct {
	// ServerName is the name that the handshake asks for and the certificate must have; empty: the host's address.
	ServerName string `json:"server_name,omitempty"`
	// CertificateDays: see Check.CertificateDays.
	CertificateDays int `json:"certificate_days,omitempty"`
	// CA is a PEM file on the agents' machines, with the authorities to trust instead of the system's.
	CA string `json:"ca,omitempty"`
	// ClientCertificate and ClientKey are PEM files on the agents' machines, for servers that ask for a certificate.
	ClientCertificate string `json:"client_certificate,omitempty"`
	ClientKey         string `json:"client_key,omitempty"`
}

// TLS requires that the port completes a TLS handshake with a certificate that can be verified.
type TLS struct {
	Port int `json:"port,omitempty"`
	Verification
}

func (TLS) kind() string          { return KindTLS }
func (TLS) provesHostAlive() bool { return true }

func (o TLS) question() Options {
	o.Verification = o.Verification.question()
	return o
}

func (o TLS) validate() error {
	return errors.Join(validPort(o.Port), o.Verification.validate())
}

func (o TLS) withTexts(func(key, text string) (string, error)) (Options, error) { return o, nil }

// A certificate that ends soon is an advisory: the answer is as good as before.
func (v Verification) question() Verification {
	v.CertificateDays = 0
	return v
}

func (v Verification) validate() error {
	var err error
	if (v.ClientCertificate == "") != (v.ClientKey == "") {
		err = errors.New("client_certificate and client_key belong together")
	}
	return errors.Join(err, ValidServerName(v.ServerName), ValidCA(v.CA), ValidCA(v.ClientCertificate),
		ValidCA(v.ClientKey), validDays("certificate_days", v.CertificateDays))
}

// ValidServerName returns an error if the text is neither empty nor a name that a certificate can have.
func ValidServerName(text string) error {
	if text == "" {
		return nil
	}
	host, err := address.ParseHost(text)
	if err == nil && host.Name == "" {
		err = errors.New("an IP address is no server name")
	}
	return err
}

// caMax bounds the path of a CA file in bytes.
const caMax = 1024

// ValidCA returns an error if the text is neither empty nor the absolute path of a file.
func ValidCA(path string) error {
	if path != "" && (!strings.HasPrefix(path, "/") || len(path) > caMax || strings.ContainsRune(path, 0)) {
		return fmt.Errorf("%.100q is not the absolute path of a file", path)
	}
	return nil
}

func validPort(n int) error {
	if n < 1 || n > 65535 {
		return fmt.Errorf("port %d is not a number from 1 to 65535", n)
	}
	return nil
}

// encodedKind returns how the check's kind is encoded for other programs.
func (c *Check) encodedKind() string {
	switch o := c.Options.(type) {
	case TCP:
		if o.TLS {
			return kindTCPOverTLS
		}
	case HTTP:
		if o.isRequest() {
			return kindHTTPRequest
		}
	}
	return c.Kind
}
