// Package agent is an agent's connection to NATS: it publishes observations, receives control messages and asks a
// coordinator for the catalog and for credentials. Dial connects an agent that has joined; RequestEnrolment is how one
// joins.
package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
)

// Config configures an agent's connection.
type Config struct {
	Name      string // the host's key
	Endpoint  bus.Endpoint
	Former    bus.Endpoint // also tried and trusted, for as long as Endpoint may not be reachable from here yet
	JWT, Seed string
	JWTFunc   func() string // returns the JWT of each later connection; nil: JWT
	Dial      bus.DialFunc  // nil: the operating system's
	Logger    zerolog.Logger
}

// Conn is an agent's connection. It is safe for concurrent use.
type Conn struct {
	name     string
	nats     *nats.Conn
	stream   jetstream.JetStream
	log      zerolog.Logger
	controls chan []byte
	trust    *bus.TrustStore

	changed     chan struct{}
	reconnected chan struct{}

	mu        sync.Mutex
	since     time.Time       // start of the present connection; zero without one
	line      context.Context // ends with the present connection; nil before the first
	cut       context.CancelFunc
	changedAt time.Time // of the latest connect or disconnect
	lastError string
}

// controlsMax is how many control messages wait for the agent. One per second and host, in a large mesh, never fills
// it.
const controlsMax = 256

// Dial connects. A server that cannot be reached is no error: the connection is retried until Close.
func Dial(ctx context.Context, c Config) (*Conn, error) {
	if err := bus.CheckName(c.Name); err != nil {
		return nil, err
	}
	trust, err := bus.NewTrustStore(c.Endpoint.CA, c.Former.CA)
	if err != nil {
		return nil, err
	}
	credentials, err := bus.Credentials(c.JWT, c.Seed, c.JWTFunc)
	if err != nil {
		return nil, err
	}
	a := &Conn{
		name: c.Name, log: c.Logger, trust: trust, changedAt: time.Now(), controls: make(chan []byte, controlsMax),
		changed: make(chan struct{}, 1), reconnected: make(chan struct{}, 1),
	}
	// The inbox prefix carries the name, because an agent may subscribe to its own inbox only.
	opts := append(bus.AlwaysReconnect(), credentials, nats.Secure(trust.TLSConfig()), bus.WithDialer(ctx, c.Dial),
		nats.Name(c.Name), nats.CustomInboxPrefix("_INBOX_"+c.Name),
		nats.ConnectHandler(func(*nats.Conn) { a.setConnected(true, nil) }),
		nats.ReconnectHandler(func(*nats.Conn) { a.setConnected(true, nil) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { a.setConnected(false, err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { a.recordError(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { a.log.Warn().Err(err).Msg("NATS error") }),
	)
	servers := union(c.Endpoint.Servers, c.Former.Servers)
	if a.nats, err = nats.Connect(strings.Join(servers, ","), opts...); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if a.stream, err = jetstream.New(a.nats, jetstream.WithPublishAsyncTimeout(ackWait)); err != nil {
		a.nats.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	for _, subject := range []string{bus.SubjectControlAll, bus.SubjectControl + c.Name + ".>"} {
		if _, err := a.nats.Subscribe(subject, a.handleControl); err != nil {
			a.nats.Close()
			return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
		}
	}
	return a, nil
}

// controlPrefix begins every control message: its version is its first key.
var controlPrefix = []byte(`{"v":`)

// handleControl queues a control message. Other messages are dropped: the server writes its acknowledgements to
// whatever subject a request names as its reply, so that a hostile agent can have its own sent here, and they must not
// fill the queue.
func (c *Conn) handleControl(m *nats.Msg) {
	if !bytes.HasPrefix(m.Data, controlPrefix) {
		return
	}
	select {
	case c.controls <- m.Data:
	default:
		c.log.Warn().Msg("control message dropped: the queue is full")
	}
}

// Controls returns the control messages from the coordinator.
func (c *Conn) Controls() <-chan []byte { return c.controls }

// Catalog asks for the catalog in force, and for the secrets that the agent needs, sealed to the key.
func (c *Conn) Catalog(ctx context.Context, key bus.SealKey) ([]byte, error) {
	question := nats.NewMsg(bus.SubjectAsk + c.name)
	question.Header.Set(bus.HeaderSealKey, key.String())
	reply, err := c.nats.RequestMsgWithContext(ctx, question)
	if err != nil {
		return nil, fmt.Errorf("ask for the catalog: %w", err)
	}
	if len(reply.Data) == 0 {
		return nil, errors.New("ask for the catalog: the coordinator has none yet")
	}
	return reply.Data, nil
}

// Ask sends a question to any coordinator and returns the answer; an empty question is for the catalog. It fails when
// the connection ends, since an answer to a question of an earlier connection never arrives.
func (c *Conn) Ask(ctx context.Context, question []byte) ([]byte, error) {
	ctx, cancel := c.whileConnected(ctx)
	defer cancel()
	reply, err := c.nats.RequestWithContext(ctx, bus.SubjectAsk+c.name, question)
	if err != nil {
		return nil, fmt.Errorf("ask the coordinator: %w", err)
	}
	return reply.Data, nil
}

// SetEndpoint changes the servers and CAs of the next connection; the former endpoint is tried and trusted too. The
// present connection stays: the new endpoint may not be reachable from here.
func (c *Conn) SetEndpoint(now, former bus.Endpoint) error {
	if err := c.trust.Set(now.CA, former.CA); err != nil {
		return err
	}
	servers := union(now.Servers, former.Servers)
	// nats.go mistakes the first server for the connected one where the connected one is not in the list.
	if connected := c.nats.ConnectedUrl(); connected != "" {
		servers = union(servers, []string{connected})
	}
	if err := c.nats.SetServerPool(servers); err != nil {
		return fmt.Errorf("change the NATS servers: %w", err)
	}
	return nil
}

// Uses reports whether the present connection is to a server of the endpoint, or one that such a server announced, and
// was verified by the endpoint's CA.
func (c *Conn) Uses(e bus.Endpoint) bool {
	// Certificates first: if the connection changes between the two, the answer is at worst a false no, and the caller
	// asks again.
	if !c.trust.Presented(e.CA) {
		return false
	}
	connected := c.nats.ConnectedUrl() // empty without a connection
	return slices.Contains(e.Servers, connected) || slices.Contains(c.nats.DiscoveredServers(), connected)
}

// union returns the servers of both lists, each once.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Close ends the connection at once.
func (c *Conn) Close() { c.nats.Close() }
