// Package quotaguard keeps one agent from filling the stream OBS, which would discard the evidence of all others. It
// counts the bytes that each agent published in the last two days. An agent that published more than the catalog can
// require loses its right to publish for a term: the NATS servers refuse it, and its excess is removed from the
// stream. The counts are not stored: after a restart, the stream is counted again from its beginning.
package quotaguard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/quota"
)

// Bus is what a Guard needs from NATS.
type Bus interface {
	FollowBatches(ctx context.Context, agent string, fn func(bus.BatchInfo) error) error
	Batches(ctx context.Context, agent string) ([]bus.BatchInfo, error)
	RemoveBatches(ctx context.Context, sequences []uint64) error
	ResizeObservations(ctx context.Context, bytes int64) error
	Enrolment(ctx context.Context, key string) (value []byte, revision uint64, err error)
	SetEnrolment(ctx context.Context, key string, value []byte, revision uint64) error
}

// Issuer withdraws and restores an agent's right to publish, on every server.
type Issuer interface {
	Withdraw(ctx context.Context, publicKey string, until time.Time) error
	Restore(ctx context.Context, publicKey string, since int64) error // since: see Members
}

// Members looks up the keys that agents joined with.
type Members interface {
	Agent(ctx context.Context, name string) (ledger.Agent, error) // ledger.ErrNoAgent: none ever joined
	// Since returns the second up to which credentials of the key stay revoked: see ledger.Agent.
	Since(ctx context.Context, publicKey string) (int64, error)
}

// Config configures a Guard.
type Config struct {
	Bus     Bus
	Issuer  Issuer
	Members Members
	// in force since the time, newest first
	Catalogs func(ctx context.Context, since time.Time) ([]*catalog.Catalog, error)
	Plan     func(*catalog.Catalog) quota.Plan // nil: quota.Compute
	// the clock that ends terms; nil: time.Now
	Now func() time.Time
	// sets a subject's warning for operators; "" clears it
	Warn   func(subject, text string)
	Logger zerolog.Logger
}

const (
	enforceEvery = time.Second
	urgentEvery  = 100 * time.Millisecond // when an agent passes its budget
	// a change of the catalog counts from then: an agent uses little of a budget in a minute
	catalogEvery = time.Minute
	followRetry  = time.Second
	aheadMax     = 1024           // sizes read ahead of the count
	withdrawnKey = "overspending" // in the enrolment bucket: all withdrawals, by agent
)

// Guard counts, withdraws and restores. One goroutine, Run's, owns its state.
type Guard struct {
	Config
	sampled   zerolog.Logger // for errors that repeat each second
	tally     *quota.Tally
	withdrawn map[string]quota.Withdrawal // by agent
	applied   map[string]bool             // by key: this process made the servers refuse it
	restored  map[string]bool             // by key: this process made the servers admit it again
	excess    map[string][]uint64         // sequences still to be removed, by agent
	loaded    bool

	budgets   map[string]int64 // by agent
	unlisted  int64            // budget of an agent that is in no catalog
	budgetsAt time.Time
	plans     map[string]quota.Plan // by the catalog's revision
	size      int64                 // of OBS; zero: not known yet
	catalog   *catalog.Catalog      // in force when the budgets were computed; nil before
}

// New returns a guard that has counted nothing yet.
func New(c Config) *Guard {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Plan == nil {
		c.Plan = quota.Compute
	}
	return &Guard{
		Config: c, sampled: c.Logger.Sample(&zerolog.BurstSampler{Burst: 5, Period: time.Minute}), tally: quota.NewTally(),
		withdrawn: map[string]quota.Withdrawal{}, applied: map[string]bool{}, restored: map[string]bool{},
		excess: map[string][]uint64{},
	}
}

// Run counts until ctx ends, and then returns nil.
func (g *Guard) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := g.count(ctx); err != nil && ctx.Err() == nil {
			g.sampled.Error().Err(err).Msg("counting the observations stream failed; starting over")
		}
		select {
		case <-ctx.Done():
		case <-time.After(followRetry):
		}
	}
	return nil
}

// count counts the stream from its beginning, and goes on until the stream cannot be followed or ctx ends.
func (g *Guard) count(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	stored, ended := make(chan bus.BatchInfo, aheadMax), make(chan error, 1)
	go func() {
		ended <- g.Bus.FollowBatches(ctx, "", func(s bus.BatchInfo) error {
			select {
			case stored <- s:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	g.tally = quota.NewTally() // the stream is read from its beginning
	ticker := time.NewTicker(enforceEvery)
	defer ticker.Stop()
	defer func() { cancel(); <-ended }()
	var enforcedAt time.Time
	for {
		select {
		case s := <-stored:
			g.tally.Add(s.Time, s.Agent, s.Bytes)
			// At a hundred megabytes a second the next tick would be too late.
			if g.overspent(s.Agent) && time.Since(enforcedAt) > urgentEvery {
				g.tryEnforce(ctx)
				enforcedAt = time.Now()
			}
		case <-ticker.C:
			g.tryEnforce(ctx)
			enforcedAt = time.Now()
		case err := <-ended:
			ended <- err
			return err
		}
	}
}

// overspent reports whether the agent exceeds its budget and no withdrawal is in force. Before budgets are known it is
// false.
func (g *Guard) overspent(agent string) bool {
	w := g.withdrawn[agent]
	return !g.budgetsAt.IsZero() && (w.Since.IsZero() || w.Ended) && g.tally.Used(agent) > g.budget(agent)
}

// tryEnforce enforces the budgets and logs a failure. The next call repeats whatever was not done.
func (g *Guard) tryEnforce(ctx context.Context) {
	if err := g.enforce(ctx); err != nil && ctx.Err() == nil {
		g.sampled.Error().Err(err).Msg("enforcing publish budgets failed; retrying")
	}
}

// load reads, once, which agents were withdrawn before this process began.
func (g *Guard) load(ctx context.Context) error {
	if g.loaded {
		return nil
	}
	data, _, err := g.Bus.Enrolment(ctx, withdrawnKey)
	if errors.Is(err, bus.ErrNotFound) {
		g.loaded = true
		return nil
	}
	read := map[string]quota.Withdrawal{}
	if err == nil {
		err = json.Unmarshal(data, &read)
	}
	if err != nil {
		return fmt.Errorf("withdrawals: %w", err)
	}
	g.withdrawn, g.loaded = read, true
	return nil
}

// save stores the withdrawals with one that is new or changed. The servers are changed only after that: a withdrawal
// that is not stored would never end. Only the revision of the stored value is read: a cluster may answer with an
// earlier value, whose revision is then refused, and the next call of enforce tries again.
func (g *Guard) save(ctx context.Context, agent string, w quota.Withdrawal) error {
	next := map[string]quota.Withdrawal{agent: w}
	for other, v := range g.withdrawn {
		if other != agent && !v.Forgiven(g.Now()) {
			next[other] = v
		}
	}
	data, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("withdrawals: %w", err)
	}
	_, revision, err := g.Bus.Enrolment(ctx, withdrawnKey)
	if err == nil || errors.Is(err, bus.ErrNotFound) {
		err = g.Bus.SetEnrolment(ctx, withdrawnKey, data, revision)
	}
	if err != nil {
		return fmt.Errorf("withdrawals: %w", err)
	}
	g.withdrawn = next
	return nil
}
