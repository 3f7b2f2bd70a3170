package vantage

import (
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/agent/outbox"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

const batchMax = 500 // observations in one batch; wire.BatchSendMax may allow fewer

// flush puts the observations since the latest batch into the outbox. Where there are none it puts an empty batch, the
// heartbeat, but only while connected: it is worth nothing later.
func (v *vantage) flush(now time.Time) {
	v.flushAt = now.Add(heartbeat)
	_, connected := v.config.Bus.Connected()
	for first := true; first && connected || len(v.fresh) > 0; first = false {
		b, n, err := v.encode(now, v.fresh[:min(len(v.fresh), batchMax)])
		if err != nil {
			v.unencodable += uint64(n)
			v.config.Logger.Error().Err(err).Int("observations", n).Msg("batch dropped: encoding failed")
		} else {
			v.out.Put(b)
		}
		v.fresh = v.fresh[n:]
	}
	v.fresh, v.lag = nil, 0
}

// encode makes a batch of as many of the observations as fit, in their order, and returns how many those are. With an
// error these cannot be encoded at all.
func (v *vantage) encode(now time.Time, observations []mesh.Observation) (out outbox.Batch, n int, err error) {
	v.sequence++
	stats := v.stats()
	b := &mesh.Batch{
		Agent: v.config.Name, Epoch: v.epoch, Sequence: v.sequence, Version: v.config.Version, Began: now, Lag: v.lag,
		Queued: stats.Batches, Dropped: stats.Dropped, SpoolOff: stats.Off, AnchorsFail: v.duties.anchorsFail(),
		Refusal: v.refusal, Clock: v.config.ClockOffset, Observations: observations, Gossip: v.gossipReport(now),
	}
	if v.catalog != nil {
		b.Revision = v.catalog.Revision
	}
	data, err := wire.EncodeBatch(b)
	for errors.Is(err, wire.ErrTooLarge) && len(b.Observations) > 1 {
		b.Observations = b.Observations[:len(b.Observations)/2]
		data, err = wire.EncodeBatch(b)
	}
	n = len(b.Observations)
	return outbox.Batch{ID: fmt.Sprintf("%s-%d", v.prefix, v.sequence), Opened: now, Count: n, Data: data}, n, err
}

// stats returns what waits and what was lost since the agent began.
func (v *vantage) stats() outbox.Stats {
	s := v.out.Stats()
	s.Dropped += v.unencodable
	return s
}
