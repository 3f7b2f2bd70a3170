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

// Keeper holds an agent's identity while it runs, and renews it long before it expires. It is safe for concurrent use.
type Keeper struct {
	dir    string
	every  time.Duration
	asked  chan struct{}
	gossip func(keys [][]byte) // told of new keys; nil: nobody is
	log    zerolog.Logger

	mu sync.Mutex
	id Identity
}

// KeeperConfig is what a keeper needs.
type KeeperConfig struct {
	Dir      string // the state directory
	Identity Identity
	Every    time.Duration       // zero: RenewEvery
	Gossip   func(keys [][]byte) // is told of new gossip keys, the one to speak with first; may be nil
	Logger   zerolog.Logger
}

// NewKeeper is a keeper of the identity that Load read.
func NewKeeper(c KeeperConfig) *Keeper {
	if c.Every == 0 {
		c.Every = RenewEvery
	}
	return &Keeper{dir: c.Dir, id: c.Identity, every: c.Every, gossip: c.Gossip, log: c.Logger, asked: make(chan struct{}, 1)}
}

// JWT is the newest.
func (k *Keeper) JWT() string { return k.Identity().JWT }

// Identity is the newest.
func (k *Keeper) Identity() Identity {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.id
}

// Renew has Run ask now.
func (k *Keeper) Renew() {
	select {
	case k.asked <- struct{}{}:
	default:
	}
}

// Run renews at start, at each new connection, when Renew is called and about every hour, until ctx ends.
func (k *Keeper) Run(ctx context.Context, b Bus) {
	retry := renewRetry
	for {
		wait := k.every
		if err := k.renew(ctx, b); err == nil {
			retry = renewRetry
		} else if ctx.Err() == nil {
			wait, retry = min(wait, retry), min(2*retry, renewRetryMax)
			k.log.Debug().Err(err).Msg("the credentials are not renewed; trying again later")
		}
		select {
		case <-ctx.Done():
			return
		case <-k.asked:
		case <-b.Reconnected():
		case <-time.After(wait + rand.N(wait/10+1)):
		}
	}
}

func (k *Keeper) renew(ctx context.Context, b Bus) error {
	ctx, cancel := context.WithTimeout(ctx, renewWait)
	defer cancel()
	has, err := bus.ReadJWT(k.JWT())
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
	return k.take(b, grant)
}

// take keeps what is new in a grant, first on the disk.
func (k *Keeper) take(b Bus, grant wire.JoinGrant) error {
	before := k.Identity()
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
		k.log.Info().Strs("servers", next.Servers).Bool("former", next.Former != nil).Msg("the next connection takes another way to the bus")
	}
	if err := keep(filepath.Join(k.dir, identityFile), next); err != nil {
		return err
	}
	k.mu.Lock()
	k.id = next
	k.mu.Unlock()
	k.log.Info().Bool("jwt", before.JWT != next.JWT).Bool("gossip", !sameKeys(before.Gossip, next.Gossip)).Msg("the credentials are renewed")
	if k.gossip != nil && !sameKeys(before.Gossip, next.Gossip) {
		k.gossip(next.Gossip)
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
