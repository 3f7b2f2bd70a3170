// Package vantage is an agent at work: it fetches the catalog, looks at what it owes and at what it is asked, and publishes
// what it sees. Run owns every goroutine of it: one loop decides, and probes, deliveries and the fetching of catalogs report
// to that loop.
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

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/edge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/spool"
	"github.com/probemesh/probemesh/pkg/wire"
)

// Bus is what an agent needs of NATS.
type Bus interface {
	// Send sends a message behind those that were sent before it, and returns at once. wait returns when the stream has it,
	// or why that is not known.
	Send(id string, headers map[string]string, data []byte) (wait func(ctx context.Context) error)
	// Catalog asks for the catalog in force, as wire.DecodeAnswer reads it.
	Catalog(ctx context.Context) ([]byte, error)
	// Controls are the coordinator's words, as wire.DecodeControl reads them.
	Controls() <-chan []byte
	// Connected tells since when there is a connection, and whether there is one.
	Connected() (since time.Time, ok bool)
	// ConnectionChanged speaks when Connected may have another answer.
	ConnectionChanged() <-chan struct{}
}

// Config is what an agent is started with.
type Config struct {
	Name    string // the host's key
	Version string
	Bus     Bus
	Network probe.Network
	// Allow is what the machine's owner lets it probe; nil: everything.
	Allow *probe.Allow
	// Requests are answered with snapshots; it may be nil.
	Requests Requests
	// Gossip is this agent's part in it; nil where it has none.
	Gossip Gossip
	// Spool keeps observations on the disk while NATS is away; without a directory they wait in memory.
	Spool spool.Config
	// Renew asks for the agent's credentials anew, on the coordinator's word; it may be nil.
	Renew func()
	// ClockOffset is added to this machine's wall clock where a batch tells it. Only tests set it.
	ClockOffset time.Duration
	// Turn is told that the loop turns: at least once a heartbeat, unless it hangs. It may be nil.
	Turn   func(now time.Time)
	Logger zerolog.Logger
}

const (
	heartbeat     = 2 * time.Second        // between batches: rule 2
	coalesceDelay = 5 * time.Millisecond   // for news to gather before they leave together
	overrunMax    = time.Second            // a timer later than this says that the machine stood still
	busyRetry     = 100 * time.Millisecond // until a look is tried again when too many probes are under way
	probesMax     = 512                    // under way at once: half of the file descriptors a process usually has
	eventsMax     = 64
)

// vantage is the loop's state.
type vantage struct {
	Config
	ctx    context.Context
	events chan func()   // what probes, deliveries and the catalog have to say, done in the loop
	asked  chan struct{} // for the catalog
	tasks  sync.WaitGroup

	began    time.Time
	catalog  *catalog.Catalog
	keys     map[string]ed25519.PublicKey // of the admitted agents
	region   string
	duties   map[target]*duty
	window   edge.Window
	underWay int // probes
	memory   *probe.Memory
	caps     *probe.Caps // by the addresses as the catalog spells them; the guard counts what they resolve to

	epoch    uint64
	prefix   string // of message ids
	sequence uint64
	flushAt  time.Time
	fresh    []mesh.Observation
	lag      time.Duration
	out      outbox
	disk     disk
	rumours  rumours
	dropped  uint64 // observations that were lost on the way to the disk or the stream
	wake     time.Time
}

// Run probes and publishes until ctx ends, and gives what it saw last a second to reach the stream. It returns nil then, after
// everything it started has ended; an error only where it could not start.
func Run(ctx context.Context, c Config) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	v := &vantage{Config: c, ctx: work, events: make(chan func(), eventsMax), asked: make(chan struct{}, 1), duties: map[target]*duty{}}
	v.began, v.out.held, v.rumours = time.Now(), map[uint64]*delivery{}, newRumours()
	v.memory = probe.NewMemory(probe.MemoryMax)
	v.caps, v.Network = probe.NewCaps(), probe.NewGuard(c.Network, c.Allow)
	var id [20]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	v.prefix, v.epoch = hex.EncodeToString(id[:12]), binary.BigEndian.Uint64(id[12:])
	if err := v.openDisk(); err != nil {
		return err
	}
	defer v.leaveDisk()
	defer v.tasks.Wait()
	defer cancel()
	v.tasks.Go(func() { v.followCatalog(work) })
	v.loop(ctx)
	v.leave()
	return nil
}

func (v *vantage) loop(ctx context.Context) {
	v.flushAt = time.Now().Add(heartbeat)
	for {
		now := time.Now()
		v.advance(now)
		if v.Turn != nil {
			v.Turn(now)
		}
		v.wake = v.next()
		select {
		case <-ctx.Done():
			return
		// A timer that is set anew stays in the runtime's heap at its old time, and wakes the agent for nothing after each answer.
		case <-time.After(time.Until(v.wake)):
			v.overrun(time.Now())
		case do := <-v.events:
			v.overrun(time.Now())
			do()
		case data := <-v.Bus.Controls():
			v.control(data)
		case tell := <-v.Requests:
			v.overrun(time.Now())
			tell(v.snapshot(time.Now()))
		}
	}
}

// report hands a piece of news to the loop.
func (v *vantage) report(do func()) {
	select {
	case v.events <- do:
	case <-v.ctx.Done():
	}
}

// advance does everything that is due.
func (v *vantage) advance(now time.Time) {
	for _, d := range v.duties {
		if !now.Before(d.next) {
			v.scheduled(d, now)
		}
		if d.look == nil {
			continue
		}
		if due := d.look.Due(); !due.IsZero() && !now.Before(due) {
			v.take(d, d.look.Advance(now))
		}
	}
	if !now.Before(v.flushAt) {
		v.flush(now)
	}
	v.pump(now)
}

// next is when advance has something to do.
func (v *vantage) next() time.Time {
	wake := earlier(v.flushAt, v.wakeAt(time.Now()))
	for _, d := range v.duties {
		wake = earlier(wake, d.next)
		if d.look != nil {
			wake = earlier(wake, d.look.Due())
		}
	}
	return wake
}

// earlier is the earlier of two times; a zero b is never.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// overrun notes how late the loop woke. Past overrunMax the looks under way say nothing of their hosts: this machine stood
// still.
func (v *vantage) overrun(now time.Time) {
	late := now.Sub(v.wake)
	v.lag = max(v.lag, late)
	if late < overrunMax {
		return
	}
	v.Logger.Warn().Dur("late", late).Msg("this machine stood still; looks under way are inconclusive")
	for _, d := range v.duties {
		if d.look != nil {
			v.abandon(d, now)
		}
	}
}

// control does what the coordinator asks.
func (v *vantage) control(data []byte) {
	c, err := wire.DecodeControl(data)
	switch {
	case err != nil:
		v.Logger.Warn().Err(err).Msg("a control word that this agent does not understand")
	case c.Renew:
		if v.Renew != nil {
			v.Renew()
		}
	case c.Look != nil:
		v.lookNow(*c.Look, time.Now())
	}
	if err == nil && c.Catalog != "" { // of the same revision too: the admitted agents may be others
		v.fetch()
	}
}
