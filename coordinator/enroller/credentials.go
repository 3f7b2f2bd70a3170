package enroller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/wire"
)

// credentials creates what an agent needs to connect and to gossip: when it joins, and again at each renewal while it
// belongs. The caller must read the gossip keys before it checks that the agent belongs: an agent that is revoked
// between the two then gets the keys from before, and never those that replace them.
func (e *Enroller) credentials(host, publicKey string, gossip keyring) ([]byte, error) {
	token, err := e.Issuer.Issue(host, publicKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(wire.JoinGrant{JWT: token, Servers: e.Issuer.Servers(), CA: string(e.Issuer.CA()),
		Gossip: gossip.Keys})
}

// answerQuestion answers an agent that asks for its credentials again. Otherwise it returns nil: an agent that does not
// belong gets no answer, and its credentials expire.
func (e *Enroller) answerQuestion(ctx context.Context, host string, question []byte) []byte {
	request, ok := wire.DecodeGrantRequest(question)
	if !ok {
		return nil
	}
	answer, err := e.renew(ctx, host, request.Key, request.Rename)
	e.unknown.record(e.Now(), host, errors.Is(err, errUnknownAgent))
	if err != nil {
		if !errors.Is(err, errRenaming) && e.denied.Allow(e.Now(), host) {
			e.Logger.Warn().Err(err).Str("host", host).Msg("agent credentials not renewed")
		}
		return nil
	}
	e.reported.record(host, Credential{Asked: time.Now(), Issued: request.Issued, Ends: request.Expires})
	return answer
}

// renew signs the key that the host's agent joined with, and only while that belongs and the catalog has the host. An
// agent of an earlier version does not send its key. host is the name that NATS knows the agent by; the credentials may
// be for another one: see rename.
func (e *Enroller) renew(ctx context.Context, host, key string, able bool) ([]byte, error) {
	gossip, _, err := e.keyring(ctx)
	if err != nil {
		return nil, err
	}
	agent, err := e.Members.Agent(ctx, host)
	switch {
	case isNoAgent(err):
		return nil, fmt.Errorf("%s: %w", host, errUnknownAgent)
	case err != nil:
		return nil, err
	case key != "" && key != agent.PublicKey:
		return nil, e.otherKeyError(ctx, host, key)
	case !agent.Revoked.IsZero():
		return nil, fmt.Errorf("%s is revoked", host)
	case !e.Members.KnownHost(host) && e.Members.Key(agent.HostID) == "": // it may be called otherwise now
		return nil, fmt.Errorf("%s: %w", host, ErrUnknownHost)
	}
	name, err := renamer{e}.rename(ctx, agent, host, able)
	if err != nil {
		return nil, err
	}
	return e.credentials(name, agent.PublicKey, gossip)
}

// otherKeyError returns why an agent with another key than its host joined with last gets no credentials.
func (e *Enroller) otherKeyError(ctx context.Context, host, key string) error {
	ended, err := e.Members.EndedKeys(ctx)
	switch {
	case err != nil:
		return err
	case slices.Contains(ended, key):
		return fmt.Errorf("the key of %s was revoked or replaced", host)
	}
	return fmt.Errorf("%s: %w", host, errUnknownAgent)
}
