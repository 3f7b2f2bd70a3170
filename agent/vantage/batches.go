package vantage

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/wire"
)

const (
	batchMax    = 500  // observations in one batch, well within wire's bounds
	queueMax    = 1000 // batches that wait while NATS is away: some megabytes, or half an hour of a ten-host mesh
	deliveryMax = 8    // batches under way at once, so that news do not wait behind what waited
)

// queue holds the batches that wait for an acknowledgement.
type queue struct {
	waiting []delivery // oldest first
	sending int
	dropped uint64 // observations that did not fit
}

// delivery is one encoded batch.
type delivery struct {
	id     string
	opened time.Time
	data   []byte
	count  int // observations in it
}

// flush opens a batch for what was seen since the last one: an empty one is a heartbeat.
func (v *vantage) flush(now time.Time) {
	v.flushAt = now.Add(heartbeat)
	_, connected := v.Bus.Connected()
	for first := true; first && connected || len(v.fresh) > 0; first = false {
		n := min(len(v.fresh), batchMax)
		v.enqueue(now, v.fresh[:n])
		v.fresh = v.fresh[n:]
	}
	v.fresh, v.lag = nil, 0
	v.deliver()
}

func (v *vantage) enqueue(now time.Time, observations []mesh.Observation) {
	v.sequence++
	b := &mesh.Batch{
		Agent: v.Name, Epoch: v.epoch, Sequence: v.sequence, Version: v.Version, Began: now, Lag: v.lag,
		Queued: len(v.queue.waiting) + v.queue.sending, Dropped: v.queue.dropped, AnchorsFail: v.anchorsFail(), Clock: v.ClockOffset,
		Observations: observations,
	}
	if v.catalog != nil {
		b.Revision = v.catalog.Revision
	}
	data, err := wire.EncodeBatch(b)
	if err != nil {
		v.queue.dropped += uint64(len(observations))
		v.Logger.Error().Err(err).Msg("a batch could not be encoded")
		return
	}
	v.queue.add(delivery{id: fmt.Sprintf("%s-%d", v.prefix, v.sequence), opened: now, data: data, count: len(observations)})
}

// add drops the oldest batch where the queue is full.
func (q *queue) add(d delivery) {
	if len(q.waiting) >= queueMax {
		q.dropped += uint64(q.waiting[0].count)
		q.waiting = q.waiting[1:]
	}
	q.waiting = append(q.waiting, d)
}

// deliver hands waiting batches to the bus.
func (v *vantage) deliver() {
	for v.queue.sending < deliveryMax && len(v.queue.waiting) > 0 {
		d := v.queue.waiting[0]
		v.queue.waiting = v.queue.waiting[1:]
		v.queue.sending++
		v.tasks.Go(func() {
			err := v.Bus.Publish(v.ctx, d.id, func() map[string]string { return v.headers(d) }, d.data)
			v.report(func() { v.delivered(d, err) })
		})
	}
}

func (v *vantage) headers(d delivery) map[string]string {
	var link time.Duration
	if since, ok := v.Bus.Connected(); ok {
		link = time.Since(since)
	}
	return wire.EncodeHeaders(time.Since(d.opened), link)
}

func (v *vantage) delivered(d delivery, err error) {
	v.queue.sending--
	if err != nil {
		v.queue.dropped += uint64(d.count)
		v.Logger.Error().Err(err).Int("observations", d.count).Msg("a batch was refused")
	}
	v.deliver()
}
