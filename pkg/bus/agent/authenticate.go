package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/probemesh/probemesh/pkg/bus"
)

// ErrRefused reports that a server does not accept the agent's credentials. It does not say why.
var ErrRefused = errors.New("the coordinator refuses this agent's credentials")

// Authenticate connects once with an agent's credentials, as Dial does, and disconnects. It subscribes to nothing and
// publishes nothing, so an agent that runs with the same credentials is not disturbed.
func Authenticate(ctx context.Context, c Config) error {
	trust, err := bus.NewTrustStore(c.Endpoint.CA)
	if err != nil {
		return err
	}
	credentials, err := bus.Credentials(c.JWT, c.Seed, nil)
	if err != nil {
		return err
	}
	conn, err := nats.Connect(strings.Join(c.Endpoint.Servers, ","), credentials, nats.Secure(trust.TLSConfig()),
		nats.Name(c.Name), nats.Timeout(bus.ConnectWait), nats.NoReconnect(), bus.WithDialer(ctx, c.Dial))
	if err == nil {
		conn.Close()
		return nil
	}
	for _, refusal := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked} {
		if errors.Is(err, refusal) {
			return ErrRefused
		}
	}
	return fmt.Errorf("connect to NATS: %w", err)
}
