package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/probemesh/probemesh/pkg/bus"
)

// Use is Start for a cluster of others' servers, made by ClusterFiles of the same directory: nothing listens here, and the
// trust stays here. The cluster's accounts are given today's limits and permissions, if another version left them others.
func Use(ctx context.Context, c Config, servers []string) (*Server, error) {
	s := &Server{log: c.Logger}
	for _, text := range servers {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "tls" || u.Port() == "" {
			return nil, fmt.Errorf("server %q: write it as tls://nats-1.example.net:4222", text)
		}
		s.servers = append(s.servers, text)
	}
	if len(s.servers) == 0 {
		return nil, errors.New("no server is named")
	}
	var err error
	if s.ca, err = openAuthority(filepath.Join(c.Dir, "ca")); err != nil {
		return nil, err
	}
	if s.trust, err = openTrust(filepath.Join(c.Dir, "trust")); err != nil {
		return nil, err
	}
	s.trust.life = cmp.Or(c.CredentialLife, Life)
	for _, name := range accountNames {
		if err := s.change(ctx, name, func(has *jwt.AccountClaims) (*jwt.AccountClaims, error) { return s.trust.combined(name, has) }); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// connect opens a connection of its own as a user of the account, for one errand.
func (s *Server) connect(account, name string, more ...nats.Option) (*nats.Conn, error) {
	token, seed, err := s.trust.user(account)
	if err != nil {
		return nil, err
	}
	opts := append([]nats.Option{nats.UserJWTAndSeed(token, seed), nats.Name(name)}, more...)
	if s.server != nil {
		opts = append(opts, nats.InProcessServer(s.server))
	} else {
		trust, err := bus.NewTrustStore(s.ca.pem)
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.Secure(trust.TLSConfig()))
	}
	conn, err := nats.Connect(strings.Join(s.remote(), ","), opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	return conn, nil
}

// remote is where the servers are; none: in this process.
func (s *Server) remote() []string {
	if s.server != nil {
		return nil
	}
	return s.servers
}
