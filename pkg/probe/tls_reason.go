package probe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// classifyCertificate classifies an error of the TLS handshake; ok is false for any other error.
func classifyCertificate(err error, now time.Time) (Result, bool) {
	var noRoots x509.SystemRootsError
	if errors.As(err, &noRoots) {
		return inconclusive("this machine has no trusted certificates: install the package ca-certificates"), true
	}
	if reason := certificateReason(err, now); reason != "" {
		return Result{}.fail(reason), true
	}
	return Result{}, false
}

// certificateReason describes an error of the TLS handshake, or returns "" for any other error.
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
		return validityReason(invalid.Cert, now)
	case errors.As(err, &unverified):
		return "certificate not trusted: " + bounded(strings.TrimPrefix(unverified.Err.Error(), "x509: "))
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return "does not speak TLS"
	}
	return handshakeReason(err)
}

// handshakeReason describes why the two sides could not agree on TLS, or returns "" for any other error. Over TCP,
// crypto/tls has no error type for alerts (tls.AlertError is for QUIC): the operation of the *net.OpError marks one
// that the server sent. The client's own errors are plain ones that begin with "tls: ".
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

// alertAdvice explains the alerts whose names do not explain themselves.
var alertAdvice = map[string]string{
	"handshake failure":              "no cipher or key exchange in common",
	"protocol version not supported": "it speaks none of TLS 1.2 and 1.3",
	"certificate required":           "it wants a client certificate",
	"unrecognized name":              "it has no certificate for that name",
}

// validityReason describes how long ago a certificate expired, or when it becomes valid. x509 reports both cases with
// the reason Expired.
func validityReason(c *x509.Certificate, now time.Time) string {
	if now.Before(c.NotBefore) {
		return "certificate becomes valid in " + largestUnit(c.NotBefore.Sub(now))
	}
	return "certificate expired " + largestUnit(now.Sub(c.NotAfter)) + " ago"
}

// namesOf lists the first names that a certificate is valid for: a shared server's may have a hundred.
func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames) // crypto/tls shares the parsed certificate between connections
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
