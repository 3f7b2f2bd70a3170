package bus

import (
	"context"
	"math/rand/v2"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// ConnectWait bounds one attempt to connect to one server.
const ConnectWait = 5 * time.Second

// DialFunc opens a TCP connection.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// WithDialer has a connection dial by the function, until ctx ends. A nil function is the operating system's.
func WithDialer(ctx context.Context, dial DialFunc) nats.Option {
	if dial == nil {
		return func(*nats.Options) error { return nil }
	}
	return nats.SetCustomDialer(customDialer{ctx, dial})
}

// customDialer adapts a DialFunc to the interface of nats.go, which has no context.
type customDialer struct {
	ctx  context.Context
	dial DialFunc
}

// Dial implements nats.CustomDialer.
func (d customDialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, ConnectWait)
	defer cancel()
	return d.dial(ctx, network, address)
}

// AlwaysReconnect returns the options of a connection that is retried for ever. It buffers nothing while it is
// disconnected: an agent's spool does, and repeats only what was not acknowledged. An authentication error is retried
// too, since a coordinator that starts may not know its agents yet. Two missed pings, 20 to 30 s, end a dead
// connection.
func AlwaysReconnect() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(), nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(ConnectWait),
		nats.CustomReconnectDelay(backoff),
	}
}

const (
	backoffFirst = 200 * time.Millisecond
	backoffMax   = 5 * time.Second
)

// backoff doubles from backoffFirst to backoffMax, with full jitter, so that agents do not all reconnect to a restarted
// server at once.
func backoff(attempts int) time.Duration {
	most := min(backoffFirst<<min(attempts, 10), backoffMax)
	return time.Duration(rand.Int64N(int64(most))) + backoffFirst/2
}
