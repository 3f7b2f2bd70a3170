package vantage

import (
	"errors"
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

const batchMax = 500 // observations in one batch; wire.BatchSendMax may allow fewer

// flush opens batches for what was seen since the last one: an empty one is a heartbeat.
func (v *vantage) flush(now time.Time) {
	v.flushAt = now.Add(heartbeat)
	_, connected := v.Bus.Connected()
	for first := true; first && connected || len(v.fresh) > 0; first = false {
		d, n := v.open(now, v.fresh[:min(len(v.fresh), batchMax)])
		if d != nil {
			v.put(d, connected)
		}
		v.fresh = v.fresh[n:]
	}
	v.fresh, v.lag = nil, 0
}

// open makes a batch of as many of the observations as one may have bytes for, in their order, and returns
// how many those are. One that cannot be encoded is nil, and its observations are dropped.
func (v *vantage) open(now time.Time, observations []mesh.Observation) (d *delivery, n int) {
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
	for errors.Is(err, wire.ErrTooLarge) && len(b.Observations) > 1 {
		b.Observations = b.Observations[:len(b.Observations)/2]
		data, err = wire.EncodeBatch(b)
	}
	n = len(b.Observations)
	if err != nil {
		v.dropped += uint64(n)
		v.Logger.Error().Err(err).Msg("batch dropped: encoding failed")
		return nil, n
	}
	return &delivery{id: fmt.Sprintf("%s-%d", v.prefix, v.sequence), opened: now, data: data, count: n}, n
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
