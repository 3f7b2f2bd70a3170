package httpserver

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/regularfile"
)

// certificateCheck is how often the files of the certificate are read again, at most: what renews a certificate does so
// days before the old one ends.
const certificateCheck = 10 * time.Second

// certificate is the certificate of the public address. What renews it replaces its files, at any time, so a handshake
// reads them again if they were not read lately. It is safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               zerolog.Logger

	mu        sync.Mutex
	read      time.Time
	cert, key []byte // of the files when they were last read
	pair      *tls.Certificate
	rejected  string    // why the files are not in use, as it was logged; empty: they are
	since     time.Time // of the first look at which they were not
	warn      func(text string)
}

// rejectedFor is how long the files must be unusable before operators are warned: while they are being replaced, one
// after the other, they do not match.
const rejectedFor = 30 * time.Second

// certificateMax bounds each file in bytes. A chain of ten certificates has some 20 kB.
const certificateMax = 1 << 20

// newCertificate reads the files. A start must fail if they are wrong; a later change that is wrong must not.
func newCertificate(certFile, keyFile string, log zerolog.Logger, warn func(string)) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, warn: warn}
	if _, err := c.reload(); err != nil {
		return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	c.read = time.Now()
	return c, nil
}

// reload reads the files, and reports whether they changed. The certificate stays as it is on an error: the two files
// are replaced one after the other, and between the two they do not match.
func (c *certificate) reload() (changed bool, err error) {
	cert, _, err := regularfile.Read(c.certFile, certificateMax)
	if err != nil {
		return false, err
	}
	key, _, err := regularfile.Read(c.keyFile, certificateMax)
	if err != nil || bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return false, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, err
	}
	c.cert, c.key, c.pair = cert, key, &pair
	return true, nil
}

// current returns the certificate for a handshake.
func (c *certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.read) >= certificateCheck {
		c.read = now
		changed, err := c.reload()
		c.logReload(changed, err)
		c.warnOperators(now, err)
	}
	return c.pair, nil
}

// logReload logs a result of reload, and one that repeats only once: clients may connect all day while a file is
// missing.
func (c *certificate) logReload(changed bool, err error) {
	before := c.rejected
	if c.rejected = ""; err != nil {
		c.rejected = err.Error()
	}
	switch {
	case err != nil && c.rejected != before:
		c.log.Warn().Err(err).Msg("new TLS certificate rejected, the old one stays in use")
	case changed:
		c.log.Info().Time("expires", c.pair.Leaf.NotAfter).Msg("TLS certificate replaced")
	case err == nil && before != "": // the former files were put back
		c.log.Info().Time("expires", c.pair.Leaf.NotAfter).Msg("TLS certificate no longer rejected")
	}
}

// warnOperators warns of files that have been unusable for some time, and clears the warning once they are in use.
func (c *certificate) warnOperators(now time.Time, err error) {
	if err == nil {
		c.since = time.Time{}
		c.warn("")
		return
	}
	if c.since.IsZero() {
		c.since = now
	}
	if now.Sub(c.since) >= rejectedFor {
		c.warn(fmt.Sprintf("the new certificate in %s is refused: %v; the old one ends on %s: replace both files of "+
			"--tls-cert and --tls-key, which are read again", c.certFile, err, c.pair.Leaf.NotAfter.UTC().Format(time.DateOnly)))
	}
}
