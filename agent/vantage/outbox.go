package vantage

import (
	"errors"
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/wire"
)

const (
	liveWindow = 8                      // news under way at once: more than leave in a round trip
	liveMax    = 64                     // news that wait for a place; the oldest then become history
	liveFor    = 30 * time.Second       // so long news are tried again before they are history: no vote is fresh for longer at the default interval
	liveRetry  = 300 * time.Millisecond // after a failure, which is the stream's while there is a connection

	// History has a window and a pace of its own, so that news never wait behind it. Two hours of a ten-host mesh take three
	// minutes, and ten agents at once are 200 small writes a second for the server, a tenth of what its disk can do. What
	// gathered in a few minutes goes without a pace, to be there before the verdicts it dates.
	historyWindow = 4
	historyEvery  = time.Second / 20
	historyBurst  = 100
	historyRetry  = time.Second

	// historyMax is the age past which a batch is dropped: the stream keeps no longer, and what is in it is minutes older.
	historyMax = wire.AgeMax - time.Hour
)

// delivery is one encoded batch.
type delivery struct {
	id      string
	opened  time.Time
	earlier bool // opened by an earlier process
	data    []byte
	count   int    // observations in it
	index   uint64 // its place in the spool; zero while it is not there
	inHand  bool   // it waits among the news or the history that is sent next, or is under way
	stored  bool   // the stream has it
	failed  bool   // of history: it was under way in vain
}

// outbox is what waits for the stream. News go at once; what could not go at once is history, and goes in order.
type outbox struct {
	live    []*delivery // oldest first
	flying  int         // news under way
	retryAt time.Time   // of news

	history   []*delivery // next to be sent, oldest first
	under     []*delivery // history under way, in order
	stumbled  bool        // one of those failed: nothing follows it before they are all heard of
	historyAt time.Time   // the pace: of the next history, were there no burst
	pauseTo   time.Time   // after a failure

	held map[uint64]*delivery // in hand and in the spool, by index
}

// put takes a new batch: to the disk where it has observations, and to the stream at once where there is a connection.
func (v *vantage) put(d *delivery, connected bool) {
	if d.count > 0 {
		v.keep(d)
	}
	if connected {
		d.inHand = true
		v.out.live = append(v.out.live, d)
	}
	for len(v.out.live) > liveMax {
		first := v.out.live[0]
		v.out.live = v.out.live[1:]
		v.release(first)
	}
}

// pump sends and keeps what can be now.
func (v *vantage) pump(now time.Time) {
	if _, ok := v.Bus.Connected(); ok {
		for v.out.flying < liveWindow && len(v.out.live) > 0 && !now.Before(v.out.retryAt) {
			d := v.out.live[0]
			v.out.live = v.out.live[1:]
			v.out.flying++
			v.publish(d, v.heardLive)
		}
		v.sendHistory(now)
	} else {
		v.releaseAll()
	}
	v.work(now)
}

func (v *vantage) sendHistory(now time.Time) {
	for v.mayTell(now) {
		d := v.nextHistory()
		if d == nil {
			return
		}
		if now.Sub(d.opened) > historyMax {
			v.drop(d)
			continue
		}
		if first := now.Add(-historyBurst * historyEvery); v.out.historyAt.Before(first) {
			v.out.historyAt = first
		}
		v.out.historyAt = v.out.historyAt.Add(historyEvery)
		v.out.under = append(v.out.under, d)
		v.publish(d, v.heardHistory)
	}
}

// mayTell reports whether history may be sent now.
func (v *vantage) mayTell(now time.Time) bool {
	o := &v.out
	return len(o.under) < historyWindow && !o.stumbled && !now.Before(o.historyAt) && !now.Before(o.pauseTo)
}

// nextHistory takes the oldest batch that waits in memory: those from the disk are older than those that are not there yet.
func (v *vantage) nextHistory() *delivery {
	if len(v.out.history) > 0 {
		d := v.out.history[0]
		v.out.history = v.out.history[1:]
		return d
	}
	if v.disk.busy() || v.unread() {
		return nil
	}
	for _, d := range v.disk.unwritten {
		if !d.inHand && !d.stored {
			d.inHand = true
			return d
		}
	}
	return nil
}

// wakeAt is when the outbox has something to do that no event tells of; zero: never.
func (v *vantage) wakeAt(now time.Time) (at time.Time) {
	if _, ok := v.Bus.Connected(); !ok {
		return v.diskAt()
	}
	if len(v.out.live) > 0 && now.Before(v.out.retryAt) {
		at = v.out.retryAt
	}
	if !v.out.stumbled && len(v.out.under) < historyWindow && (len(v.out.history) > 0 || v.unread() || v.off()) {
		pace := v.out.historyAt
		if pace.Before(v.out.pauseTo) {
			pace = v.out.pauseTo
		}
		if now.Before(pace) {
			at = soonest(at, pace)
		}
	}
	return soonest(at, v.diskAt())
}

// soonest is the earlier of two times of which each may be never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return earlier(a, b)
}

// publish hands a batch to the bus, and what became of it to the loop.
func (v *vantage) publish(d *delivery, heard func(*delivery, error)) {
	wait := v.Bus.Send(d.id, v.headers(d), d.data)
	v.tasks.Go(func() {
		err := wait(v.ctx)
		v.report(func() {
			if errors.Is(err, bus.ErrRefused) {
				v.Logger.Error().Err(err).Int("observations", d.count).Msg("a batch was refused")
				v.dropped += uint64(d.count)
				err = nil
			}
			heard(d, err)
		})
	})
}

func (v *vantage) heardLive(d *delivery, err error) {
	v.out.flying--
	_, connected := v.Bus.Connected()
	switch {
	case err == nil:
		v.finish(d)
	case d.count > 0 && connected && time.Since(d.opened) < liveFor:
		v.out.live = append([]*delivery{d}, v.out.live...)
		v.out.retryAt = time.Now().Add(liveRetry)
	default:
		v.release(d)
	}
}

// heardHistory takes what became of a batch of the history. After a failure nothing is sent until all that is under way was heard
// of; then what failed goes again, in its order.
func (v *vantage) heardHistory(d *delivery, err error) {
	o := &v.out
	if d.failed = err != nil; d.failed {
		o.stumbled = true
	} else {
		v.finish(d)
	}
	o.under = slices.DeleteFunc(o.under, func(u *delivery) bool { return u.stored })
	if slices.ContainsFunc(o.under, func(u *delivery) bool { return !u.failed }) || !o.stumbled {
		return
	}
	for _, u := range o.under {
		u.failed = false
	}
	o.history, o.under, o.stumbled = append(o.under, o.history...), nil, false
	o.pauseTo = time.Now().Add(historyRetry)
}

// finish takes a batch for done.
func (v *vantage) finish(d *delivery) {
	d.stored, d.inHand = true, false
	if d.index != 0 {
		delete(v.out.held, d.index)
		v.disk.acked = append(v.disk.acked, d.index)
	}
	v.disk.forget()
}

// drop gives up a batch.
func (v *vantage) drop(d *delivery) {
	v.dropped += uint64(d.count)
	v.finish(d)
}

// releaseAll makes history of all news that wait: there is no connection.
func (v *vantage) releaseAll() {
	for _, d := range v.out.live {
		v.release(d)
	}
	v.out.live = nil
}

// release makes news history. A heartbeat is none.
func (v *vantage) release(d *delivery) {
	d.inHand = false
	if d.index != 0 {
		delete(v.out.held, d.index)
		v.disk.after = min(v.disk.after, d.index-1)
	}
}

const (
	leaveMax  = time.Second // that an agent which ends waits for the stream and the disk
	leavePoll = 20 * time.Millisecond
)

// leave says what is left to say: the looks under way end, and what was seen goes to the disk and, in a second, to the stream.
func (v *vantage) leave() {
	for _, d := range v.duties {
		d.end()
	}
	now := time.Now()
	v.out.pauseTo = now.Add(time.Hour) // history waits for the next start
	v.flush(now)
	timeout := time.NewTimer(leaveMax)
	defer timeout.Stop()
	poll := time.NewTicker(leavePoll)
	defer poll.Stop()
	for v.pump(now); v.leaves(); v.pump(time.Now()) {
		select {
		case <-timeout.C:
			return
		case do := <-v.events:
			do()
		case <-poll.C:
		}
	}
}

// leaves reports whether there is something to wait for.
func (v *vantage) leaves() bool {
	_, connected := v.Bus.Connected()
	publishing := connected && len(v.out.live)+v.out.flying > 0
	writing := v.Spool.Dir != "" && v.disk.off == "" && len(v.disk.unwritten)+len(v.disk.acked) > 0
	return publishing || writing || v.disk.busy()
}
