package node

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/probemesh/probemesh/agent/doctor"
	"github.com/probemesh/probemesh/agent/identity"
	"github.com/probemesh/probemesh/agent/localstatus"
)

// Examination configures an examination of this machine.
type Examination struct {
	State        string // the state directory
	Token        string // to join with; empty: examine what an earlier join stored
	GossipListen string // address and port to gossip at; empty: none
	Joining      bool   // it is about to join, so what only probing needs is left out
	Resolver     string // address and port of a resolver in place of the machine's; only tests set it
	ClockOffset  time.Duration
}

// Examine examines this machine, and reports each finding as it comes.
func Examine(ctx context.Context, x Examination, report func(doctor.Finding)) {
	c := doctor.Config{
		Directory: x.State, Token: x.Token, Gossip: x.GossipListen, ClockOffset: x.ClockOffset, Joining: x.Joining,
		Running: localstatus.Running(x.State),
	}
	if x.Resolver != "" {
		dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, x.Resolver)
		}
		c.Resolver = &net.Resolver{PreferGo: true, Dial: dial}
	}
	id, err := identity.Load(x.State)
	switch {
	case err == nil:
		c.Joined, c.Servers, c.CA = true, id.Servers, id.CA
		c.Name, c.JWT, c.Seed = id.Name, id.JWT, id.Seed
	case !errors.Is(err, identity.ErrNotJoined):
		c.Identity = err
	}
	doctor.Examine(ctx, c, report)
}
