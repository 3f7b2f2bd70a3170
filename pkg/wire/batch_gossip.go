package wire

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// GossipEntriesMax bounds each list of gossip in a batch. If more hosts die at once it is the network, and the probes
// show it.
const GossipEntriesMax = 64

// gossip has times as observations do: microseconds since the batch was opened, mostly negative.
type gossip struct {
	Acks   map[string]int64 `json:"a,omitempty"` // read by version N-1; today's judge ignores them
	Dead   map[string]int64 `json:"d,omitempty"`
	Proofs map[string]int64 `json:"proofs,omitempty"`
}

// encodeGossip returns nil if there is nothing to report.
func encodeGossip(g mesh.Gossip, began time.Time) *gossip {
	if len(g.Acks) == 0 && len(g.Dead) == 0 && len(g.Proofs) == 0 {
		return nil
	}
	return &gossip{
		Acks: encodeGossipEntries(g.Acks, began), Dead: encodeGossipEntries(g.Dead, began),
		Proofs: encodeGossipEntries(g.Proofs, began),
	}
}

// encodeGossipEntries drops what exceeds the bound: gossip only supports what probes find.
func encodeGossipEntries(list []mesh.GossipEntry, began time.Time) map[string]int64 {
	out := make(map[string]int64, len(list))
	for _, r := range list[:min(len(list), GossipEntriesMax)] {
		out[r.Host] = r.At.Sub(began).Microseconds()
	}
	return out
}

// decode decodes the gossip of a batch, which may have none.
func (g *gossip) decode(began, received time.Time) (out mesh.Gossip, err error) {
	if g == nil {
		return out, nil
	}
	if out.Acks, err = decodeGossipEntries(g.Acks, began, received); err != nil {
		return out, err
	}
	if out.Dead, err = decodeGossipEntries(g.Dead, began, received); err != nil {
		return out, err
	}
	out.Proofs, err = decodeGossipEntries(g.Proofs, began, received)
	return out, err
}

func decodeGossipEntries(in map[string]int64, began, received time.Time) ([]mesh.GossipEntry, error) {
	if len(in) > GossipEntriesMax {
		return nil, ErrTooLarge
	}
	var out []mesh.GossipEntry
	for host, at := range in {
		r := mesh.GossipEntry{Host: host, At: began.Add(microseconds(at))}
		if len(host) > NameMax {
			return nil, ErrTooLarge
		}
		if r.At.After(received.Add(time.Second)) {
			return nil, errors.New("gossip of a time in the future")
		}
		out = append(out, r)
	}
	// Maps have no order, and every replay must see the same batch.
	slices.SortFunc(out, func(a, b mesh.GossipEntry) int { return strings.Compare(a.Host, b.Host) })
	return out, nil
}
