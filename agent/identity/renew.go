package identity

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/wire"
)

// RenewEvery is about how often an agent asks for what it was given anew: a jitter of a tenth comes on top. A coordinator that
// changes the gossip keys waits for longer than this.
const RenewEvery = time.Hour

const (
	renewWait     = 10 * time.Second // for an answer
	renewRetry    = 2 * time.Second  // after the first failure; twice as long after each more: a coordinator that starts answers soon
	renewRetryMax = time.Minute
)

// Bus is what renewing needs of NATS.
type Bus interface {
	Ask(ctx context.Context, question []byte) ([]byte, error)
	Reconnected() <-chan struct{}
	SetWay(now, former bus.Way) error
	On(w bus.Way) bool
}

// Renewer holds an agent's identity while it runs, and renews it long before it expires. It is safe for concurrent use.
type Renewer struct {
	dir    string
	every  time.Duration
	asked  chan struct{}
	gossip func(keys [][]byte) // told of new keys; nil: nobody is
	log    zerolog.Logger

	mu sync.Mutex
	id Identity
}

// RenewerConfig is what a keeper needs.
type RenewerConfig struct {
	Dir      string // the state directory
	Identity Identity
	Every    time.Duration       // zero: RenewEvery
	Gossip   func(keys [][]byte) // is told of new gossip keys, the one to speak with first; may be nil
	Logger   zerolog.Logger
}

// NewRenewer is a keeper of the identity that Load read.
func NewRenewer(c RenewerConfig) *Renewer {
	if c.Every == 0 {
		c.Every = RenewEvery
	}
	return &Renewer{dir: c.Dir, id: c.Identity, every: c.Every, gossip: c.Gossip, log: c.Logger, asked: make(chan struct{}, 1)}
}

// JWT is the newest.
func (r *Renewer) JWT() string { return r.Identity().JWT }

// Identity is the newest.
func (r *Renewer) Identity() Identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// Renew has Run ask now.
func (r *Renewer) Renew() {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// Run renews at start, at each new connection, when Renew is called and about every hour, until ctx ends.
func (r *Renewer) Run(ctx context.Context, b Bus) {
	retry := renewRetry
	for {
		wait := r.every
		if err := r.renew(ctx, b); err == nil {
			retry = renewRetry
		} else if ctx.Err() == nil {
			wait, retry = min(wait, retry), min(2*retry, renewRetryMax)
			r.log.Debug().Err(err).Msg("the credentials are not renewed; trying again later")
		}
		select {
		case <-ctx.Done():
			return
		case <-r.asked:
		case <-b.Reconnected():
		case <-time.After(wait + rand.N(wait/10+1)):
		}
	}
}

func (r *Renewer) renew(ctx context.Context, b Bus) error {
	ctx, cancel := context.WithTimeout(ctx, renewWait)
	defer cancel()
	has, err := bus.ReadJWT(r.JWT())
	if err != nil {
		return err
	}
	data, err := b.Ask(ctx, wire.GrantQuestion(has.Key))
	if err != nil {
		return err
	}
	var grant wire.JoinGrant
	if err := wire.DecodeJoin(data, &grant); err != nil {
		return err
	}
	if err := grant.Check(); err != nil {
		return err
	}
	return r.take(b, grant)
}

// take keeps what is new in a grant, first on the disk.
func (r *Renewer) take(b Bus, grant wire.JoinGrant) error {
	before := r.Identity()
	next, err := renewed(before, grant)
	if err != nil {
		return err
	}
	if b.On(next.Way()) {
		next.Former = nil
	}
	if same(before, next) {
		return nil
	}
	if moved := !reflect.DeepEqual(before.Way(), next.Way()) || !reflect.DeepEqual(before.Former, next.Former); moved {
		// Before it is kept: what cannot be used must not be what the next start has.
		if err := b.SetWay(next.Way(), next.FormerWay()); err != nil {
			return err
		}
		r.log.Info().Strs("servers", next.Servers).Bool("former", next.Former != nil).Msg("the next connection takes another way to the bus")
	}
	if err := keep(filepath.Join(r.dir, identityFile), next); err != nil {
		return err
	}
	r.mu.Lock()
	r.id = next
	r.mu.Unlock()
	r.log.Info().Bool("jwt", before.JWT != next.JWT).Bool("gossip", !sameKeys(before.Gossip, next.Gossip)).Msg("the credentials are renewed")
	if r.gossip != nil && !sameKeys(before.Gossip, next.Gossip) {
		r.gossip(next.Gossip)
	}
	return nil
}

// renewed is the identity that a grant makes of an earlier one. The JWT is exchanged when a third of its life has passed, by the
// coordinator's clock, so that the disk is not written every hour.
func renewed(id Identity, grant wire.JoinGrant) (Identity, error) {
	has, err := bus.ReadJWT(id.JWT)
	if err != nil {
		return id, err
	}
	gets, err := bus.ReadJWT(grant.JWT)
	if err != nil {
		return id, fmt.Errorf("the coordinator's grant: %w", err)
	}
	if gets.Key != has.Key || gets.Name != id.Name {
		return id, fmt.Errorf("the coordinator's grant is for another: %s", gets.Name)
	}
	if has.Expires.IsZero() && !gets.Expires.IsZero() || !has.Expires.IsZero() && gets.Issued.Sub(has.Issued) >= has.Expires.Sub(has.Issued)/3 {
		id.JWT = grant.JWT
	}
	was := id.Way()
	id.Servers, id.CA, id.Gossip = grant.Servers, []byte(grant.CA), grant.Gossip
	if id.Former == nil && !reflect.DeepEqual(was, id.Way()) { // of several that are told, the one that was gone is kept
		id.Former = &was
	}
	return id, nil
}

func same(a, b Identity) bool {
	return a.JWT == b.JWT && reflect.DeepEqual(a.Way(), b.Way()) && reflect.DeepEqual(a.Former, b.Former) && sameKeys(a.Gossip, b.Gossip)
}

func sameKeys(a, b [][]byte) bool { return slices.EqualFunc(a, b, slices.Equal[[]byte]) }
