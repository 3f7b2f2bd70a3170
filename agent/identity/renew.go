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

// RenewEvery is about how often an agent requests its credentials again: up to a tenth is added at random. A
// coordinator that rotates the gossip keys waits longer than this between two steps.
const RenewEvery = time.Hour

const (
	renewTimeout  = 10 * time.Second // of one request
	renewRetry    = 2 * time.Second  // after the first failure, then doubled: a starting coordinator answers soon
	renewRetryMax = time.Minute
)

// Bus is what renewal needs of NATS.
type Bus interface {
	Ask(ctx context.Context, question []byte) ([]byte, error)
	Reconnected() <-chan struct{}
	SetEndpoint(now, former bus.Endpoint) error
	Uses(e bus.Endpoint) bool
}

// Renewer holds an agent's identity while the agent runs, and renews it long before it expires. It is safe for
// concurrent use.
type Renewer struct {
	dir    string
	every  time.Duration
	asked  chan struct{}
	gossip func(keys [][]byte) // may be nil
	named  chan struct{}
	log    zerolog.Logger

	mu sync.Mutex
	id Identity
}

// RenewerConfig configures a Renewer.
type RenewerConfig struct {
	Dir      string              // the state directory
	Identity Identity            // that Load read
	Every    time.Duration       // zero: RenewEvery
	Gossip   func(keys [][]byte) // called with new gossip keys, the one to encrypt with first; may be nil
	Logger   zerolog.Logger
}

// NewRenewer returns a Renewer that does nothing until Run is called.
func NewRenewer(c RenewerConfig) *Renewer {
	if c.Every == 0 {
		c.Every = RenewEvery
	}
	return &Renewer{
		dir: c.Dir, id: c.Identity, every: c.Every, gossip: c.Gossip, log: c.Logger, asked: make(chan struct{}, 1),
		named: make(chan struct{}),
	}
}

// JWT returns the newest JWT.
func (r *Renewer) JWT() string { return r.Identity().JWT }

// Identity returns the newest identity.
func (r *Renewer) Identity() Identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// Named is closed when the identity that is stored has another name: that of the agent's host, which was renamed.
// Everything that has the former name must then end, and begin again with what Load returns; Run has ended.
func (r *Renewer) Named() <-chan struct{} { return r.named }

// Renew has Run renew now. It does not wait.
func (r *Renewer) Renew() {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// Run renews at start, at each new connection, when Renew is called and about every hour, until ctx ends or the agent
// gets another name.
func (r *Renewer) Run(ctx context.Context, b Bus) {
	retry := renewRetry
	for {
		wait := r.every
		if err := r.renew(ctx, b); err == nil {
			retry = renewRetry
		} else if ctx.Err() == nil {
			wait, retry = min(wait, retry), min(2*retry, renewRetryMax)
			r.log.Debug().Err(err).Dur("retry", wait).Msg("renewing credentials failed")
		}
		select {
		case <-ctx.Done():
			return
		case <-r.named:
			return
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-r.asked:
		case <-b.Reconnected():
		case <-time.After(wait + rand.N(wait/10+1)): // so that agents that started together do not ask together
		}
	}
}

func (r *Renewer) renew(ctx context.Context, b Bus) error {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	current, err := bus.ReadJWT(r.JWT())
	if err != nil {
		return err
	}
	data, err := b.Ask(ctx, wire.EncodeGrantRequest(wire.GrantRequest{
		Key: current.Key, Rename: true, Issued: current.Issued, Expires: current.Expires,
	}))
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
	return r.apply(b, grant)
}

// apply puts what is new in a grant in force. It stores the identity before anything uses it, so that the next start
// knows at least what this process used.
func (r *Renewer) apply(b Bus, grant wire.JoinGrant) error {
	before := r.Identity()
	next, err := renewed(before, grant)
	if err != nil {
		return err
	}
	if b.Uses(next.Endpoint()) {
		next.Former = nil
	}
	if same(before, next) {
		return nil
	}
	if !reflect.DeepEqual(before.Endpoint(), next.Endpoint()) || !reflect.DeepEqual(before.Former, next.Former) {
		// Before it is stored: what the bus rejects must not be what the next start finds.
		if err := b.SetEndpoint(next.Endpoint(), next.FormerEndpoint()); err != nil {
			return err
		}
		r.log.Info().Strs("servers", next.Servers).Bool("former", next.Former != nil).Msg("NATS servers changed")
	}
	if err := store(filepath.Join(r.dir, identityFile), next); err != nil {
		return err
	}
	if next.Name != before.Name {
		r.log.Info().Str("name", next.Name).Str("former", before.Name).Msg("host renamed: starting under its new name")
		close(r.named) // what runs keeps the identity that it began with
		return nil
	}
	r.mu.Lock()
	r.id = next
	r.mu.Unlock()
	newKeys := !sameKeys(before.Gossip, next.Gossip)
	r.log.Info().Bool("jwt", before.JWT != next.JWT).Bool("gossip", newKeys).Msg("credentials renewed")
	if r.gossip != nil && newKeys {
		r.gossip(next.Gossip)
	}
	return nil
}

// renewed returns the identity that a grant makes of an earlier one. The JWT is exchanged once a third of its life
// has passed by the coordinator's clock, and not with every grant, so that the disk is not written every hour.
func renewed(id Identity, grant wire.JoinGrant) (Identity, error) {
	current, err := bus.ReadJWT(id.JWT)
	if err != nil {
		return id, err
	}
	granted, err := bus.ReadJWT(grant.JWT)
	if err != nil {
		return id, fmt.Errorf("the coordinator's grant: %w", err)
	}
	if granted.Key != current.Key {
		return id, fmt.Errorf("the coordinator's grant is for another agent: %s", granted.Name)
	}
	if err := bus.CheckName(granted.Name); err != nil {
		return id, fmt.Errorf("the coordinator's grant: %w", err)
	}
	renamed := granted.Name != id.Name
	id.Name = granted.Name
	begins := current.Expires.IsZero() && !granted.Expires.IsZero() // a JWT of before they expired
	aged := !current.Expires.IsZero() && granted.Issued.Sub(current.Issued) >= current.Expires.Sub(current.Issued)/3
	if begins || aged || renamed {
		id.JWT = grant.JWT
	}
	former := id.Endpoint()
	id.Servers, id.CA, id.Gossip = grant.Servers, []byte(grant.CA), grant.Gossip
	// Of several changes in a row Former stays the last that is known to work, not one that was never connected by.
	if id.Former == nil && !reflect.DeepEqual(former, id.Endpoint()) {
		id.Former = &former
	}
	return id, nil
}

func same(a, b Identity) bool {
	return a.Name == b.Name && a.JWT == b.JWT && reflect.DeepEqual(a.Endpoint(), b.Endpoint()) &&
		reflect.DeepEqual(a.Former, b.Former) && sameKeys(a.Gossip, b.Gossip)
}

func sameKeys(a, b [][]byte) bool { return slices.EqualFunc(a, b, slices.Equal[[]byte]) }
