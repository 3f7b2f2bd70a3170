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

// Use is Start for a cluster of stock servers that ClusterFiles configured from the same directory. Nothing listens
// here and the signing keys stay here. If another version configured the cluster, its accounts get the limits and
// permissions of this one.
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
		return nil, errors.New("no NATS server is named")
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
		err := s.change(ctx, name, func(current *jwt.AccountClaims) (*jwt.AccountClaims, error) {
			return s.trust.upgradeClusterAccount(name, current)
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// connect opens a connection for one task, as a user of the account.
func (s *Server) connect(account, name string, more ...nats.Option) (*nats.Conn, error) {
	token, seed, err := s.trust.user(account)
	if err != nil {
		return nil, err
	}
	opts := append([]nats.Option{nats.UserJWTAndSeed(token, seed), nats.Name(name)}, more...)
	servers := ""
	if s.server != nil {
		opts = append(opts, nats.InProcessServer(s.server))
	} else {
		trust, err := bus.NewTrustStore(s.ca.pem)
		if err != nil {
			return nil, err
		}
		opts, servers = append(opts, nats.Secure(trust.TLSConfig())), strings.Join(s.servers, ",")
	}
	conn, err := nats.Connect(servers, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	return conn, nil
}
