package catalogs

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/secret"
	"github.com/probemesh/probemesh/pkg/wire"
)

// publishKeysEvery is the least time between two announcements of admitted agents: a hundred servers may join at once.
const publishKeysEvery = time.Second

// answerAgent returns what an agent that asks for the catalog gets. Every agent gets the same.
func (s *Store) answerAgent(agent string, key *bus.SealKey) []byte {
	s.mu.Lock()
	answer := s.faced.encoded
	s.mu.Unlock()
	values := s.secrets.of(agent)
	if values == nil {
		return answer
	}
	s.secrets.noteSealKey(agent, key != nil)
	if key == nil {
		return answer
	}
	sealed, err := seal(answer, values, *key)
	if err != nil {
		s.config.Logger.Error().Err(err).Str("agent", agent).Msg("secrets not sent")
		return answer
	}
	return sealed
}

// seal adds an agent's secrets to the answer.
func seal(answer []byte, values map[string]secret.Text, key bus.SealKey) ([]byte, error) {
	plain, err := wire.EncodeSecrets(values)
	if err != nil {
		return nil, err
	}
	sealed, err := bus.Seal(plain, key)
	if err != nil {
		return nil, err
	}
	return wire.AppendSealed(answer, sealed)
}

// faced is the catalog as agents get it.
type faced struct {
	catalog *catalog.Catalog // see catalog.Agents.Facing
	encoded []byte           // with the admitted agents' keys
}

// encode encodes the catalog with the public keys of the admitted agents, by which agents recognize each other.
func (s *Store) encode(ctx context.Context, c *catalog.Catalog) (f faced, err error) {
	roster, err := s.config.View.Roster(ctx)
	if err != nil {
		return f, err
	}
	public, err := s.config.View.AgentKeys(ctx)
	if err != nil {
		return f, err
	}
	var agents catalog.Agents
	agents.SetRoster(roster)
	agents.SetCatalog(c)
	f.catalog = agents.Facing()
	keys := map[string]ed25519.PublicKey{}
	for host, key := range public {
		if keys[host], err = bus.VerifyingKey(key); err != nil {
			delete(keys, host)
			s.config.Logger.Warn().Err(err).Str("host", host).Msg("agent left out of the admitted keys")
		}
	}
	f.encoded, err = wire.EncodeAnswer(wire.Answer{Catalog: f.catalog, Keys: keys})
	return f, err
}

// decodable returns why agents would refuse the answer; nil if they would not. An agent of this version decodes it so.
func decodable(answer []byte) error {
	if _, err := wire.DecodeAnswer(answer); err != nil {
		return errkind.New(errkind.Invalid, "agents would refuse the catalog: "+wire.RefusedAnswer(answer, err).Reason)
	}
	return nil
}

// RosterChanged has the new set of admitted agents' keys published soon. It does not block.
func (s *Store) RosterChanged() {
	select {
	case s.rosterChanged <- struct{}{}:
	default: // a change is waiting to be published, and this one with it
	}
}

// publishKeys encodes the admitted agents' keys whenever they change, and notifies the agents, which then ask for them.
func (s *Store) publishKeys(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.rosterChanged:
		}
		if err := s.renewAnswer(ctx); err != nil && ctx.Err() == nil {
			s.config.Logger.Error().Err(err).Msg("publishing the admitted agents' keys failed; retrying")
			s.RosterChanged()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(publishKeysEvery):
		}
	}
}

func (s *Store) renewAnswer(ctx context.Context) error {
	s.changing.Lock() // a catalog that is being activated must not be overwritten
	defer s.changing.Unlock()
	c := s.Current()
	faced, err := s.encode(ctx, c)
	if err != nil {
		return err
	}
	s.setCurrent(c, faced)
	return s.announce(ctx, c)
}
