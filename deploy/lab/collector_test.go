package lab

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	buscoordinator "github.com/probemesh/probemesh/pkg/bus/coordinator"
	natsd "github.com/probemesh/probemesh/pkg/bus/server"
	"github.com/probemesh/probemesh/pkg/catalog"
	nouns "github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// collector is a NATS server with a coordinator's connection that hands out the catalog and records all batches.
type collector struct {
	t       *testing.T
	dir     string
	listen  string
	catalog *catalog.Catalog
	server  *natsd.Server
	stop    func()

	mu      sync.Mutex
	batches []*nouns.Batch
	delays  []time.Duration // of each batch, from its opening to the stream
	last    uint64          // sequence of the last message in the stream
}

// start starts the server, or starts it again on the same address and data.
func (c *collector) start() {
	c.t.Helper()
	s, err := natsd.Start(c.t.Context(), natsd.Config{
		Dir: c.dir, Listen: c.listen, Advertise: "127.0.0.1", Logger: zerolog.Nop(),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	config, err := s.CoordinatorConfig()
	if err != nil {
		c.t.Fatal(err)
	}
	conn, err := buscoordinator.Dial(c.t.Context(), config)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	data, err := wire.EncodeCatalog(c.catalog)
	if err != nil {
		c.t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		_ = conn.AnswerCatalog(ctx, make(chan struct{}), func(string, *bus.SealKey) []byte { return data })
	})
	tasks.Go(func() { _ = conn.Follow(ctx, bus.Start{Sequence: c.last + 1}, c.record) })
	c.server, c.listen = s, strings.TrimPrefix(s.Servers()[0], "tls://")
	c.stop = func() {
		cancel()
		tasks.Wait()
		conn.Close()
		s.Close()
	}
}

// record decodes and stores a batch.
func (c *collector) record(m bus.Message) error {
	age, link, err := wire.ParseHeaders(m.Header)
	if err != nil {
		return err
	}
	b, err := wire.DecodeBatch(m.Data, age, link, m.Time)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = m.Sequence
	c.batches, c.delays = append(c.batches, b), append(c.delays, age)
	return nil
}

// received returns the sequence numbers of the batches of one epoch of the agent, in the stream's order. Of the other
// epochs it returns the number of live batches, which are no history, and their longest delay.
func (c *collector) received(epoch uint64) (history []uint64, live int, longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range c.batches {
		switch {
		case b.Epoch == epoch:
			history = append(history, b.Sequence)
		case !b.History():
			live, longest = live+1, max(longest, c.delays[i])
		}
	}
	return history, live, longest
}

// receivedMiss returns an error until a miss of the host arrived in a live batch.
func (c *collector) receivedMiss(host string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.batches {
		for _, o := range b.Observations {
			if o.Host == host && o.Outcome == nouns.Unreachable && !b.Replayed(o) {
				return nil
			}
		}
	}
	return errors.New("no miss arrived")
}
