package probe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/probemesh/probemesh/pkg/catalog"
)

// verification returns how to verify the server of a URL. Another host than the check's has a name of its own, and does
// not see the client certificate.
func (c *httpClient) verification(u *url.URL) catalog.Verification {
	v := c.options.Verification
	if own, err := url.Parse(c.options.URL); err != nil || !strings.EqualFold(u.Hostname(), own.Hostname()) {
		v.ServerName, v.ClientCertificate, v.ClientKey = "", "", ""
	}
	return v
}

// transport returns what speaks HTTP over the connection. It sets asked if the server asks for a client certificate.
func transport(conn net.Conn, o catalog.HTTP, v catalog.Verification, asked *atomic.Bool) (*http.Transport, error) {
	config, err := tlsConfig(v, v.ServerName)
	if err != nil {
		return nil, err
	}
	own := config.GetClientCertificate
	config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked.Store(true)
		return own(info)
	}
	return &http.Transport{
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: headersMax,
		TLSClientConfig:        config,
		ForceAttemptHTTP2:      o.HTTP2,
		// What a server may send before it is read, which HTTP/2 decides apart from TCP.
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10, MaxReceiveBufferPerConnection: 64 << 10},
	}, nil
}
