// Package vantage is an agent at work: it fetches the catalog, probes on schedule and when the coordinator asks, and
// puts its observations into the outbox. Start reading at Run and loop: one goroutine owns all state, and everything
// else (probes, the fetching of catalogs, gossip, the outbox's background work) sends it events.
package vantage

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/agent/outbox"
	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/edge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/secret"
	"github.com/probemesh/probemesh/pkg/spool"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Bus is what an agent needs of NATS.
type Bus interface {
	outbox.Bus
	// Catalog requests the catalog in force, in the format of wire.DecodeAnswer, with secrets sealed to the key.
	Catalog(ctx context.Context, key bus.SealKey) ([]byte, error)
	// Controls receives the coordinator's control messages, in the format of wire.DecodeControl.
	Controls() <-chan []byte
	// ConnectionChanged receives a value whenever Connected may return something else than before.
	ConnectionChanged() <-chan struct{}
}

// Config configures an agent. Name, Version, Bus and Network are required.
type Config struct {
	Name    string // the host's key
	Version string
	Bus     Bus
	Network probe.Network
	// Allow is what the machine's owner permits this agent to probe; nil permits everything.
	Allow *probe.Allow
	// Requests are answered with snapshots; it may be nil.
	Requests Requests
	// Gossip is nil where this agent does not gossip.
	Gossip Gossip
	// Spool is where observations wait on disk while NATS is away. Without a directory they wait in memory.
	Spool spool.Config
	// Renew requests new credentials, when the coordinator asks for that; it may be nil.
	Renew func()
	// ClockOffset is added to this machine's wall clock in the clock that a batch reports. Only tests set it.
	ClockOffset time.Duration
	// Watchdog is called at least once per heartbeat unless the loop hangs; it may be nil.
	Watchdog func(now time.Time)
	Logger   zerolog.Logger
}

const (
	heartbeat = 2 * time.Second // between batches, also empty ones: rule 2 counts an agent silent after several

	// coalesceDelay is how long an observation that is news waits for others, so that one batch carries the checks of
	// a host that fail together.
	coalesceDelay = 5 * time.Millisecond

	overrunMax = time.Second            // the loop waking later than this means that the machine stood still
	busyRetry  = 100 * time.Millisecond // until a look is tried again that did not fit
	probesMax  = 512                    // under way at once: half of the file descriptors a process usually has
	eventsMax  = 64                     // of one kind that wait for the loop
)

// vantage is the state of the loop, which alone may use it.
type vantage struct {
	config Config
	ctx    context.Context // of all background work
	tasks  sync.WaitGroup
	probes chan probeEvent
	follow *follower
	gossip *gossipView
	out    *outbox.Outbox

	began    time.Time
	catalog  *catalog.Catalog             // nil until it arrived
	keys     map[string]ed25519.PublicKey // of the admitted agents
	secrets  map[string]secret.Text       // by reference; replaced and never changed, since probes read it
	refusal  mesh.Refusal                 // of the latest catalog; zero if it is in force
	region   string                       // this host's; empty where the catalog does not name it
	duties   duties
	window   edge.Window
	underWay int           // probes
	memory   *probe.Memory // of the answers of all probes under way
	serials  *probe.Serials
	caps     *probe.Caps // on the addresses as the catalog spells them; the guard counts what names resolve to

	epoch       uint64 // of this process; sequence counts its batches
	sequence    uint64
	prefix      string             // of message ids
	flushAt     time.Time          // when the next batch is due
	fresh       []mesh.Observation // since the latest batch
	lag         time.Duration      // the latest that the loop woke since the latest batch
	unencodable uint64             // observations lost because their batch could not be encoded
	wake        time.Time          // when the loop should wake at the latest
}

// Run probes and publishes until ctx ends. Then it gives the latest observations up to a second to reach the stream,
// ends everything it started, and returns nil. It returns an error only where it could not start.
func Run(ctx context.Context, c Config) error {
	out, err := outbox.Open(outbox.Config{Bus: c.Bus, Spool: c.Spool, Logger: c.Logger})
	if err != nil {
		return err
	}
	defer out.Close()
	var id [20]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it outlives ctx, for the latest observations
	v := &vantage{
		config: c, ctx: work, probes: make(chan probeEvent, eventsMax), out: out, began: time.Now(), duties: duties{},
		memory: probe.NewMemory(probe.MemoryMax), serials: probe.NewSerials(), caps: probe.NewCaps(),
		epoch: binary.BigEndian.Uint64(id[12:]), prefix: hex.EncodeToString(id[:12]),
	}
	v.config.Network = probe.NewGuard(c.Network, c.Allow)
	v.follow = newFollower(c.Bus, c.Logger)
	v.gossip = newGossipView(work, c.Gossip, &v.tasks)
	defer v.tasks.Wait()
	defer cancel()
	v.tasks.Go(func() { v.follow.run(work) })
	v.loop(ctx)
	for _, d := range v.duties {
		d.end()
	}
	v.flush(time.Now())
	out.Drain()
	return nil
}

func (v *vantage) loop(ctx context.Context) {
	v.flushAt = time.Now().Add(heartbeat)
	for {
		now := time.Now()
		v.advance(now)
		if v.config.Watchdog != nil {
			v.config.Watchdog(now)
		}
		v.wake = v.nextWake(now)
		select {
		case <-ctx.Done():
			return
		// Not a timer that is reset: it would stay in the runtime's heap at its old time, and wake the agent for
		// nothing.
		case <-time.After(time.Until(v.wake)):
			v.woke()
		case e := <-v.probes:
			v.handleProbe(e, v.woke())
		case e := <-v.out.Events():
			v.out.Handle(e, v.woke())
		case a := <-v.follow.answers:
			v.handleCatalog(a, v.woke())
		case v.refusal = <-v.follow.refusals:
			v.flushAt = v.woke() // operators should see at once what the catalog that they changed does
		case <-v.follow.reconnected:
			v.flushAt = v.woke() // the coordinator should learn at once that the agent is back
		case r := <-v.gossip.results:
			v.handleProof(r, v.woke())
		case data := <-v.config.Bus.Controls():
			v.control(data, v.woke())
		case answer := <-v.config.Requests:
			answer(v.snapshot(v.woke()))
		}
	}
}

// advance does everything that is due.
func (v *vantage) advance(now time.Time) {
	for _, d := range v.duties {
		if !now.Before(d.next) {
			v.beginScheduled(d, now)
		}
		if d.look == nil {
			continue
		}
		if due := d.look.Due(); !due.IsZero() && !now.Before(due) {
			v.apply(d, d.look.Advance(now))
		}
	}
	if !now.Before(v.flushAt) {
		v.flush(now)
	}
	v.out.Advance(now)
}

// nextWake returns when advance has something to do that no event announces.
func (v *vantage) nextWake(now time.Time) time.Time {
	wake := earlier(v.flushAt, v.out.NextWake(now))
	for _, d := range v.duties {
		wake = earlier(wake, d.next)
		if d.look != nil {
			wake = earlier(wake, d.look.Due())
		}
	}
	return wake
}

// earlier returns the earlier of two times; a zero b means never.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// woke returns the time, and notes how late the loop woke, before anything is handled. Beyond overrunMax the machine
// stood still, and what the looks under way find is about this machine and not about their hosts: they end as
// inconclusive.
func (v *vantage) woke() (now time.Time) {
	now = time.Now()
	late := now.Sub(v.wake)
	v.lag = max(v.lag, late)
	if late < overrunMax {
		return now
	}
	v.config.Logger.Warn().Dur("late", late).Msg("timers late, probes under way are inconclusive")
	for _, d := range v.duties {
		if d.look != nil {
			v.abandon(d, now)
		}
	}
	return now
}

// control handles a control message of the coordinator.
func (v *vantage) control(data []byte, now time.Time) {
	c, err := wire.DecodeControl(data)
	switch {
	case err != nil:
		v.config.Logger.Warn().Err(err).Msg("control message rejected")
		return
	case c.Renew:
		if v.config.Renew != nil {
			v.config.Renew()
		}
	case c.Round != nil:
		v.lookNow(*c.Round, now)
	}
	if c.Catalog != "" { // also of the revision in force: the admitted agents may have changed
		v.follow.askNow()
	}
}
