package vantage

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"time"

	"github.com/rs/zerolog"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/secret"
	"github.com/probemesh/probemesh/pkg/wire"
)

const (
	catalogInterval = time.Minute     // between requests while nothing announces a change
	catalogRetry    = 2 * time.Second // after a request without an answer; doubled each time once there is a catalog
	catalogTimeout  = 5 * time.Second // of one request
)

// follower fetches the catalog in a goroutine of its own: at start until it arrives, at each new connection, when the
// coordinator announces a change, and every minute. Without an answer the agent works by the latest catalog and asks
// again soon: the announcement may have been that an agent was revoked, and the coordinator limits how often an agent
// may ask.
type follower struct {
	bus         Bus
	log         zerolog.Logger
	asked       chan struct{}
	answers     chan answer       // those that differ from the one before
	refusals    chan mesh.Refusal // each new reason why an answer cannot be used; zero once one can
	reconnected chan struct{}

	refusal mesh.Refusal // the last one sent; only run uses it
}

func newFollower(b Bus, log zerolog.Logger) *follower {
	return &follower{
		bus: b, log: log, asked: make(chan struct{}, 1),
		answers: make(chan answer), refusals: make(chan mesh.Refusal), reconnected: make(chan struct{}),
	}
}

// askNow has run fetch the catalog now. It does not wait.
func (f *follower) askNow() {
	select {
	case f.asked <- struct{}{}:
	default:
	}
}

func (f *follower) run(ctx context.Context) {
	var last answer
	retry := catalogRetry
	for {
		wait := catalogInterval
		switch err := f.fetch(ctx, &last); {
		case err == nil:
			retry = catalogRetry
		case last.Catalog == nil:
			f.log.Debug().Err(err).Msg("no catalog yet")
			wait = catalogRetry
		default:
			f.log.Debug().Err(err).Msg("catalog request not answered")
			wait, retry = retry, min(2*retry, catalogInterval)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		case <-f.asked:
		case <-f.bus.ConnectionChanged():
			select {
			case f.reconnected <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}
}

// fetch requests the catalog once, and sends the answer to the loop where it differs from the last one.
func (f *follower) fetch(ctx context.Context, last *answer) error {
	bounded, cancel := context.WithTimeout(ctx, catalogTimeout)
	defer cancel()
	key, err := bus.NewOpenKey() // a new one each time: an earlier answer sent again cannot be opened
	if err != nil {
		return err
	}
	data, err := f.bus.Catalog(bounded, key.Public)
	if err != nil {
		return err
	}
	a, err := decodeAnswer(data, key)
	if err != nil {
		f.setRefusal(ctx, wire.RefusedAnswer(data, err))
		return err
	}
	f.setRefusal(ctx, mesh.Refusal{})
	if last.Catalog == nil || a.Catalog.Revision != last.Catalog.Revision || !sameKeys(a.Keys, last.Keys) ||
		!maps.EqualFunc(a.secrets, last.secrets, secret.Text.Equal) {
		select {
		case f.answers <- a:
		case <-ctx.Done():
		}
	}
	*last = a
	return nil
}

// setRefusal has the loop report a refusal, or that there is none any more. The catalog before stays in force. The same
// refusal is logged once, although the catalog is requested every minute; its end is logged, too.
func (f *follower) setRefusal(ctx context.Context, r mesh.Refusal) {
	if r == f.refusal {
		return
	}
	if f.refusal = r; r.Reason != "" {
		f.log.Error().Str("catalog", r.Revision).Str("reason", r.Reason).
			Msg("catalog rejected, the previous one stays in force")
	} else {
		f.log.Info().Msg("catalog no longer rejected")
	}
	select {
	case f.refusals <- r:
	case <-ctx.Done():
	}
}

// answer is a decoded answer with the secrets that were sealed to this agent, by reference.
type answer struct {
	wire.Answer
	secrets map[string]secret.Text
}

// decodeAnswer refuses an answer whose secrets cannot be opened: it is damaged, or not to this question. Secrets are
// only kept in memory; after a restart the agent asks again.
func decodeAnswer(data []byte, key bus.OpenKey) (a answer, err error) {
	if a.Answer, err = wire.DecodeAnswer(data); err != nil || a.Sealed == nil {
		return a, err
	}
	plain, err := key.Open(a.Sealed)
	if err != nil {
		return a, fmt.Errorf("the catalog's secrets: %w", err)
	}
	a.secrets, err = wire.DecodeSecrets(plain)
	return a, err
}

// sameKeys distinguishes nil, which a coordinator too old to send keys sends, from no keys.
func sameKeys(a, b map[string]ed25519.PublicKey) bool {
	return (a == nil) == (b == nil) && maps.EqualFunc(a, b, func(x, y ed25519.PublicKey) bool { return x.Equal(y) })
}

// handleCatalog puts an answer in force. The admitted agents' keys change without the catalog when an agent joins or is
// revoked.
func (v *vantage) handleCatalog(a answer, now time.Time) {
	rotated := !maps.EqualFunc(a.secrets, v.secrets, secret.Text.Equal)
	v.keys, v.secrets = a.Keys, a.secrets
	if rotated {
		v.config.Logger.Info().Int("secrets", len(a.secrets)).Msg("secrets changed")
	}
	if v.catalog == nil || v.catalog.Revision != a.Catalog.Revision {
		v.setCatalog(a.Catalog, now)
		return
	}
	v.gossip.setCatalog(permitted(v.catalog, v.config.Allow, v.config.Name), a.Keys)
	v.config.Logger.Info().Int("agents", len(a.Keys)).Msg("admitted agents changed")
}
