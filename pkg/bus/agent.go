package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// AgentConfig is an agent's way onto the bus.
type AgentConfig struct {
	Name      string   // the host's key
	Servers   []string // URLs
	JWT, Seed string
	JWTFunc   func() string // the newest JWT, asked at each connection; nil: JWT
	CA        []byte        // PEM, one certificate or several
	Former    Way           // tried too, and believed, where Servers and CA are new and may not lead there yet
	Dial      DialFunc      // nil: the kernel's
	Logger    zerolog.Logger
}

// Agent is an agent's connection. It is safe for concurrent use.
type Agent struct {
	name     string
	conn     *nats.Conn
	stream   jetstream.JetStream
	log      zerolog.Logger
	controls chan []byte
	changed  chan struct{}
	belief   *belief

	reconnected chan struct{}

	mu     sync.Mutex
	since  time.Time       // of the present connection; zero without one
	line   context.Context // ends with it; nil before the first
	cut    context.CancelFunc
	turned time.Time // when it last came or went
	failed string    // the latest error
}

const controlsMax = 256 // control words that wait for the agent; a round a second per host never fills it

// DialAgent connects. A server that cannot be reached is no error: the connection is tried until Close.
func DialAgent(ctx context.Context, c AgentConfig) (*Agent, error) {
	if err := CheckName(c.Name); err != nil {
		return nil, err
	}
	believes := &belief{}
	if err := believes.set(Way{c.Servers, c.CA}, c.Former); err != nil {
		return nil, err
	}
	keys, err := credentials(c.JWT, c.Seed)
	if err != nil {
		return nil, err
	}
	if c.JWTFunc != nil {
		keys = newest(c.JWTFunc, c.Seed)
	}
	a := &Agent{belief: believes, reconnected: make(chan struct{}, 1), name: c.Name, log: c.Logger, controls: make(chan []byte, controlsMax), changed: make(chan struct{}, 1), turned: time.Now()}
	opts := append(forever(), keys, nats.Secure(believes.config()), nats.Name(c.Name), nats.CustomInboxPrefix("_INBOX_"+c.Name),
		nats.ConnectHandler(func(*nats.Conn) { a.turn(true, nil) }),
		nats.ReconnectHandler(func(*nats.Conn) { a.turn(true, nil) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { a.turn(false, err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { a.fail(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { a.log.Warn().Err(err).Msg("NATS error") }),
	)
	if c.Dial != nil {
		opts = append(opts, nats.SetCustomDialer(dialer{ctx, c.Dial}))
	}
	if a.conn, err = nats.Connect(strings.Join(both(c.Servers, c.Former.Servers), ","), opts...); err != nil {
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	if a.stream, err = jetstream.New(a.conn, jetstream.WithPublishAsyncTimeout(ackWait)); err != nil {
		a.conn.Close()
		return nil, fmt.Errorf("connect to the bus: %w", err)
	}
	for _, subject := range []string{SubjectControlAll, SubjectControl + c.Name + ".>"} {
		if _, err := a.conn.Subscribe(subject, a.control); err != nil {
			a.conn.Close()
			return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
		}
	}
	return a, nil
}

// turn notes that the connection came or went.
func (a *Agent) turn(up bool, err error) {
	a.fail(err)
	a.mu.Lock()
	a.since, a.turned = time.Time{}, time.Now()
	if a.cut != nil {
		a.cut()
	}
	if up {
		a.since = a.turned
		a.line, a.cut = context.WithCancel(context.Background())
	}
	a.mu.Unlock()
	if up {
		select {
		case a.reconnected <- struct{}{}:
		default:
		}
		a.log.Info().Msg("connected to the bus")
	} else {
		a.log.Warn().Err(err).Msg("the bus is away")
	}
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// whileConnected is ctx for as long as the present connection stands.
func (a *Agent) whileConnected(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.line == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(a.line, cancel)
	return ctx, func() { stop(); cancel() }
}

// controlBegins is how every control word begins: its version stands first.
var controlBegins = []byte(`{"v":`)

// control takes a control word. A server writes its acknowledgements wherever a request's reply points, so that a hostile agent
// can have its own sent here: such a message is not from the coordinator and takes no place from its words.
func (a *Agent) control(m *nats.Msg) {
	if !bytes.HasPrefix(m.Data, controlBegins) {
		return
	}
	select {
	case a.controls <- m.Data:
	default:
		a.log.Warn().Msg("too many control words: one is dropped")
	}
}

// Connected tells since when there is a connection, and whether there is one.
func (a *Agent) Connected() (since time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.since, !a.since.IsZero()
}

// ConnectionChanged speaks when Connected may have another answer.
func (a *Agent) ConnectionChanged() <-chan struct{} { return a.changed }

// Controls are the coordinator's words.
func (a *Agent) Controls() <-chan []byte { return a.controls }

// Catalog asks for the catalog in force.
func (a *Agent) Catalog(ctx context.Context) ([]byte, error) {
	reply, err := a.conn.RequestWithContext(ctx, SubjectAsk+a.name, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the catalog: %w", err)
	}
	if len(reply.Data) == 0 {
		return nil, errors.New("ask for the catalog: there is none yet")
	}
	return reply.Data, nil
}

// Close ends the connection at once.
func (a *Agent) Close() { a.conn.Close() }
