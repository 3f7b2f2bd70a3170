package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

// classifyCertificate says what is wrong with TLS, and whether that is what err is about.
func classifyCertificate(err error, now time.Time) (Result, bool) {
	var noRoots x509.SystemRootsError
	if errors.As(err, &noRoots) {
		return inconclusive("this machine has no trusted certificates: install the package ca-certificates"), true
	}
	if reason := certificateReason(err, now); reason != "" {
		return Result{}.bad(reason), true
	}
	return Result{}, false
}

func certificateReason(err error, now time.Time) string {
	var (
		wrongName  x509.HostnameError
		invalid    x509.CertificateInvalidError
		unverified *tls.CertificateVerificationError
		notTLS     tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &wrongName):
		return "certificate is for " + namesOf(wrongName.Certificate) + ", not " + wrongName.Host
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return validity(invalid.Cert, now)
	case errors.As(err, &unverified):
		return "certificate not trusted: " + bounded(strings.TrimPrefix(unverified.Err.Error(), "x509: "))
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return "does not speak TLS"
	}
	return handshakeReason(err)
}

// handshakeReason says why both sides could not agree on TLS, or "" where that is not what err is about. Over TCP,
// crypto/tls gives an alert no type of its own (tls.AlertError is for QUIC): a *net.OpError says who sent it. Its own
// complaints about the other side are plain errors that begin with "tls: ".
func handshakeReason(err error) string {
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "remote error" {
		text := strings.TrimPrefix(operation.Err.Error(), "tls: ")
		if advice := alertAdvice[text]; advice != "" {
			text += ": " + advice
		}
		return "TLS refused: " + bounded(text)
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if text, ok := strings.CutPrefix(err.Error(), "tls: "); ok {
			return "TLS failed: " + bounded(text)
		}
	}
	return ""
}

// alertAdvice says in words what the alerts mean whose names do not say it.
var alertAdvice = map[string]string{
	"handshake failure":              "no cipher or key exchange in common",
	"protocol version not supported": "it speaks none of TLS 1.2 and 1.3",
	"certificate required":           "it wants a client certificate",
	"unrecognized name":              "it has no certificate for the name in the URL",
}

// validity says how long ago a certificate expired, or how far ahead it begins.
func validity(c *x509.Certificate, now time.Time) string {
	if now.Before(c.NotBefore) {
		return "certificate becomes valid in " + ago(c.NotBefore.Sub(now))
	}
	return "certificate expired " + ago(now.Sub(c.NotAfter)) + " ago"
}

// namesOf lists the first names that a certificate is for.
func namesOf(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0 && c.Subject.CommonName != "":
		return bounded(c.Subject.CommonName)
	case len(names) == 0:
		return "nobody"
	case len(names) > 3:
		return bounded(strings.Join(names[:3], ", ")) + " and others"
	}
	return bounded(strings.Join(names, ", "))
}
