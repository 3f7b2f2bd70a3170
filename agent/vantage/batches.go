package vantage

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

const batchMax = 500 // observations in one batch, well within wire's bounds

// flush opens a batch for what was seen since the last one: an empty one is a heartbeat.
func (v *vantage) flush(now time.Time) {
	v.flushAt = now.Add(heartbeat)
	_, connected := v.Bus.Connected()
	for first := true; first && connected || len(v.fresh) > 0; first = false {
		n := min(len(v.fresh), batchMax)
		if d := v.open(now, v.fresh[:n]); d != nil {
			v.put(d, connected)
		}
		v.fresh = v.fresh[n:]
	}
	v.fresh, v.lag = nil, 0
}

// open makes a batch of the observations, or nil where that cannot be.
func (v *vantage) open(now time.Time, observations []mesh.Observation) *delivery {
	v.sequence++
	b := &mesh.Batch{
		Agent: v.Name, Epoch: v.epoch, Sequence: v.sequence, Version: v.Version, Began: now, Lag: v.lag,
		Queued: v.waits(), Dropped: v.lost(), SpoolOff: v.disk.off, AnchorsFail: v.anchorsFail(), Clock: v.ClockOffset,
		Observations: observations, Gossip: v.gossip(now),
	}
	if v.catalog != nil {
		b.Revision = v.catalog.Revision
	}
	data, err := wire.EncodeBatch(b)
	if err != nil {
		v.dropped += uint64(len(observations))
		v.Logger.Error().Err(err).Msg("a batch could not be encoded")
		return nil
	}
	return &delivery{id: fmt.Sprintf("%s-%d", v.prefix, v.sequence), opened: now, data: data, count: len(observations)}
}

// headers tell a batch's age and the connection's. A batch that the connection found waiting is older than the connection, also
// where a wall clock that was set meanwhile tells otherwise: it is never a vote.
func (v *vantage) headers(d *delivery) map[string]string {
	since, ok := v.Bus.Connected()
	if !ok {
		since = time.Now()
	}
	age, link := time.Since(d.opened), time.Since(since)
	if d.earlier || d.opened.Before(since) {
		age = max(age, link+time.Microsecond)
	}
	return wire.EncodeHeaders(age, link)
}
