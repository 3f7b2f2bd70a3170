package enroller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/errkind"
	"github.com/probemesh/probemesh/pkg/ledger"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

// The agent of a renamed host goes on under its former name until it asks for its credentials next. If the new name is
// free, the ledger then reserves it, and from the next second on the agent gets only credentials with that. Once it
// asks by the new name, the ledger records that it has it, and its earlier credentials are revoked: only then may
// another host's agent get the former name. An agent of an earlier version keeps its name.

// renamer is what an Enroller does for that.
type renamer struct{ *Enroller }

// errRenaming reports that an agent gets its credentials when it asks again.
var errRenaming = errors.New("its host was renamed, and it gets credentials for the new name in a moment")

// rename takes the next step to the name of the agent's host, and returns the name that the agent's credentials must
// have now. asked is the name by which it asked; able, whether it understands credentials for another one.
func (e renamer) rename(ctx context.Context, agent ledger.Agent, asked string, able bool) (name string, err error) {
	if asked == agent.Next {
		if err := e.confirmName(ctx, agent); err != nil {
			return "", err
		}
		agent.Name, agent.Next = agent.Next, ""
	}
	now := time.Now().Unix() // not mesh time: credentials have the wall clock's
	if agent.Next == "" {
		next := ""
		if able {
			if next, err = e.freeName(ctx, agent); err != nil {
				return "", err
			}
		}
		if next == "" {
			if now <= agent.Since {
				return "", errRenaming // the wall clock was set back: servers would refuse the credentials
			}
			return agent.Name, nil
		}
		e.Logger.Info().Str("agent", agent.Name).Str("name", next).Msg("agent gets its host's present name")
		if err := e.Members.NextName(ctx, agent, next, now); err != nil {
			return "", err
		}
		return "", errRenaming
	}
	switch {
	case !able:
		return "", errkind.New(errkind.Conflict, "the agent is getting the name "+agent.Next+
			", which its version does not understand: let it join again")
	case now <= agent.Since:
		return "", errRenaming
	}
	return agent.Next, nil
}

// confirmName records that the agent has its next name, and revokes its earlier credentials.
func (e renamer) confirmName(ctx context.Context, agent ledger.Agent) error {
	if err := e.Members.Renamed(ctx, agent); err != nil {
		return err
	}
	e.Logger.Info().Str("agent", agent.Next).Str("former", agent.Name).Msg("agent has its host's present name")
	return e.Issuer.RevokeUntil(ctx, agent.PublicKey, agent.Since)
}

// freeName returns the name that the agent can have in place of its own: that of its host, once no other agent has it.
// Agents that wait for one another in a circle are set free by one of them, which gets a name that nobody else wants.
func (e renamer) freeName(ctx context.Context, agent ledger.Agent) (string, error) {
	want := e.Members.Key(agent.HostID)
	if want == "" || want == agent.Name {
		return "", nil
	}
	first, at := agent, want
	for range waitersMax {
		holder, err := e.Members.Agent(ctx, at)
		switch {
		case isNoAgent(err) || err == nil && !holder.Revoked.IsZero() || holder.PublicKey == agent.PublicKey && at == want:
			if at == want {
				return want, nil
			}
			return "", nil // the last of those that wait can go on
		case err != nil:
			return "", err
		case holder.PublicKey == agent.PublicKey:
			if first.PublicKey == agent.PublicKey && agent.Name != agent.HostID && !e.Members.KnownHost(agent.HostID) {
				return agent.HostID, nil
			}
			return "", nil
		}
		if at = e.Members.Key(holder.HostID); at == "" || at == holder.Name || holder.Next != "" {
			return "", nil
		}
		if strings.Compare(holder.HostID, first.HostID) < 0 {
			first = holder
		}
	}
	return "", nil
}

// waitersMax bounds a chain of agents each of which waits for the name of the next.
const waitersMax = 10_000

const (
	renameEvery    = time.Second      // between two checks for agents that could have another name
	renameAskEvery = 3 * time.Second  // between two broadcasts that have them ask; then twice as long each time
	renameAskMax   = 10 * time.Minute // the longest; agents of an earlier version never get another name
)

// askRenamed has agents ask for their credentials whose hosts were renamed, until ctx ends.
func (e renamer) askRenamed(ctx context.Context) error {
	var waiting []string
	var next time.Time
	every := renameAskEvery
	for {
		now, agents := time.Now(), e.misnamed(ctx)
		if !slices.Equal(agents, waiting) { // there are others than before, or some made a step
			waiting, every, next = agents, renameAskEvery, now
		}
		if len(waiting) > 0 && !now.Before(next) {
			data, err := wire.EncodeControl(wire.Control{Renew: true})
			if err == nil {
				err = e.Bus.Broadcast(ctx, data)
			}
			e.Logger.Debug().AnErr("broadcast", err).Strs("agents", waiting).Msg("agents asked to renew their names")
			next, every = now.Add(every), min(2*every, renameAskMax)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(renameEvery):
		}
	}
}

// misnamed describes the agents whose name is not that of their host, with the names that they get.
func (e renamer) misnamed(ctx context.Context) (out []string) {
	agents, err := e.Members.Agents(ctx)
	if err != nil {
		return nil // the next round tries again
	}
	for _, a := range agents {
		if key := e.Members.Key(a.HostID); key != "" && key != a.Name {
			out = append(out, fmt.Sprintf("%s (%s)", a.Name, a.Next))
		}
	}
	return out
}

// revokeFormerNames revokes credentials with former names on NATS, once: an earlier process may have stopped before.
func (e renamer) revokeFormerNames(ctx context.Context) error {
	agents, err := e.Members.Agents(ctx)
	if err != nil {
		return err
	}
	for _, a := range agents {
		if a.Since > 0 && a.Next == "" {
			if err := e.Issuer.RevokeUntil(ctx, a.PublicKey, a.Since); err != nil {
				return err
			}
		}
	}
	return nil
}

// ErrNameInUse reports that the agent of a renamed host still uses the name.
var ErrNameInUse = errkind.New(errkind.Conflict, "the agent of another host still uses this name, which its host had "+
	"before: it gets its host's present name as soon as it runs; if it is of an earlier version, upgrade it, let it "+
	"join again under its host's present name, or revoke it")

// checkName returns an error if NATS knows the agent of another host by the name of this one.
func (e *Enroller) checkName(ctx context.Context, key string) error {
	agent, err := e.Members.Agent(ctx, key)
	switch {
	case isNoAgent(err):
		return nil
	case err != nil:
		return err
	case agent.Revoked.IsZero() && agent.HostID != "" && agent.HostID != e.Members.HostID(key) &&
		e.Members.Key(agent.HostID) != "":
		return fmt.Errorf("%s: %w", key, ErrNameInUse)
	}
	return nil
}

// agentsOf returns the agents that give way when one of the host joins: the host's own, and one that NATS knows by its
// name.
func (e *Enroller) agentsOf(ctx context.Context, host string) (out []ledger.Agent, err error) {
	for _, find := range []func(context.Context, string) (ledger.Agent, error){e.Members.AgentOf, e.Members.Agent} {
		a, err := find(ctx, mesh.Key(host))
		if err == nil {
			out = append(out, a)
		} else if !isNoAgent(err) {
			return nil, err
		}
	}
	return out, nil
}
