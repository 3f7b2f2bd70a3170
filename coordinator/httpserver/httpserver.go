// Package httpserver serves HTTP on the addresses of the programs for readers: with limits for each client, and with
// TLS and HTTP/2 where there is a certificate, which may be renewed while it is in use.
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/coordinator/connlimit"
)

const (
	// errorLines is how many lines a minute a server logs about connections: anybody who connects can cause one.
	errorLines = 10
	// http2Requests is how many requests one connection may have open: pages need two.
	http2Requests = 100
	// shutdownWait bounds how long a stop waits for requests that are being answered.
	shutdownWait = 2 * time.Second
)

// CheckFiles returns an error if there is a certificate without a key, or a key without a certificate.
func CheckFiles(certFile, keyFile string) error {
	if (certFile == "") != (keyFile == "") {
		return errors.New("--tls-cert and --tls-key belong together: give both, or neither for plain HTTP")
	}
	return nil
}

// TLS returns the settings of a server with the certificate and key of these PEM files, which it reads again while it
// serves; nil without files, which means plain HTTP. It calls warn with a text for operators while new files cannot be
// used, and with "" while they can.
func TLS(certFile, keyFile string, logger zerolog.Logger, warn func(text string)) (*tls.Config, error) {
	if certFile == "" && keyFile == "" {
		return nil, nil
	}
	c, err := newCertificate(certFile, keyFile, logger, warn)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		GetCertificate: c.current, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}, nil
}

// New returns a server that logs few lines about connections.
func New(handler http.Handler, logger zerolog.Logger) *http.Server {
	sparse := logger.Sample(&zerolog.BurstSampler{Burst: errorLines, Period: time.Minute})
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: connlimit.HeaderWait, IdleTimeout: connlimit.IdleWait,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: http2Requests},
		ErrorLog: log.New(errorWriter{sparse}, "", 0),
	}
}

// Listen listens on a TCP address for a server, with limits for each client, and by TLS unless the settings are nil.
func Listen(address string, certificates *tls.Config, server *http.Server) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	limited := connlimit.New(l, connlimit.Config{})
	limited.Configure(server)
	if certificates == nil {
		return limited, nil
	}
	return tls.NewListener(limited, certificates), nil // outside of the limits, so that a handshake counts as a connection
}

// Serve answers requests until ctx ends or the listener fails, and returns when the server's goroutines have ended.
func Serve(ctx context.Context, l net.Listener, server *http.Server) error {
	requests, endRequests := context.WithCancel(context.Background())
	defer endRequests()
	server.BaseContext = func(net.Listener) context.Context { return requests }
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	endRequests() // event streams would otherwise last until shutdownWait is over
	shutdown, cancel := context.WithTimeout(context.Background(), shutdownWait)
	defer cancel()
	if server.Shutdown(shutdown) != nil {
		_ = server.Close()
	}
	<-ended
	return nil
}

// errorWriter logs what net/http writes, one line each.
type errorWriter struct{ log zerolog.Logger }

func (w errorWriter) Write(line []byte) (int, error) {
	w.log.Warn().Str("err", strings.TrimSpace(string(line))).Msg("HTTP connection failed")
	return len(line), nil
}
