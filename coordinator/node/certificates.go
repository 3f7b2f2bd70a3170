package node

import (
	"context"
	"slices"
	"time"

	"github.com/probemesh/probemesh/coordinator/health"
	"github.com/probemesh/probemesh/pkg/bus/server"
)

// caAhead is how long before its end the CA is reported: every agent must join again after it was replaced.
const caAhead = 180 * 24 * time.Hour

// certificates lists what a coordinator presents to others, and what signed it.
func certificates(n *Node, now time.Time) (out []health.Certificate) {
	if n.publicTLS != nil {
		if pair, err := n.publicTLS.GetCertificate(nil); err == nil && pair.Leaf != nil {
			out = append(out, health.Certificate{
				ID: "page", What: "certificate of the status page", Issued: pair.Leaf.NotBefore, Ends: pair.Leaf.NotAfter,
				Renewal: "by what writes the files of --tls-cert and --tls-key",
				Act:     "renew it, and replace the files of --tls-cert and --tls-key; they are read again while it runs",
			})
		}
	}
	leaf, ca := server.Certificates(n.nats, now)
	if leaf != nil {
		out = append(out, health.Certificate{
			ID: "nats", What: "certificate for agents", Issued: leaf.NotBefore, Ends: leaf.NotAfter,
			Renewal: "by the coordinator, when a third of its life is left",
			Act:     "restart the coordinator, and read its log",
		})
	}
	return append(out, health.Certificate{
		ID: "ca", What: "CA of the mesh", Issued: ca.NotBefore, Ends: ca.NotAfter, Ahead: caAhead,
		Renewal: "by hand: agents trust it, and the certificates of a cluster's nodes end with it",
		Act:     "set up a coordinator with a new data directory, and have every agent join it",
	})
}

// credentialEnds returns when the credentials of agents end, as the agents report it, by the keys of their hosts.
func credentialEnds(n *Node) map[string]time.Time {
	out := map[string]time.Time{}
	for name, c := range n.enroller.Credentials() {
		out[name] = c.Ends
	}
	return out
}

// watchCertificates warns of certificates that end soon, and of agents that fail to renew their credentials. Agents
// renew after a third of a credential's life, so less than a third left means that renewal fails.
func watchCertificates(ctx context.Context, n *Node) error {
	n.core.Warnings.WatchCertificates(ctx, func(now time.Time) []health.Certificate {
		all := certificates(n, now)
		c, _ := n.core.Engine.Current()
		credentials := n.enroller.Credentials()
		for i := range c.Hosts {
			h := &c.Hosts[i]
			agent := credentials[h.Key()]
			if agent.Ends.IsZero() {
				continue
			}
			all = append(all, health.Certificate{
				ID: "agent-" + h.Key(), What: "credential of the agent of " + h.Name, Issued: agent.Issued, Ends: agent.Ends,
				Ahead: agent.Ends.Sub(agent.Issued) / 3,
				Act: "the agent does not renew it; read its log, and see that it can write to its state directory: " +
					"once it has ended, the agent must join again with a token of `coordinator invite " + h.Name + "`",
			})
		}
		slices.SortStableFunc(all, func(a, b health.Certificate) int { return a.Ends.Compare(b.Ends) })
		return all
	})
	return nil
}
