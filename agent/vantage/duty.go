package vantage

import (
	"context"
	"net/netip"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/edge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/probe"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// target names an edge of this vantage: a check through one address family.
type target struct {
	host, check string
	family      mesh.Family
}

// duty is an edge that this vantage probes. A look is one scheduled probe with its retries.
type duty struct {
	schedule.Duty
	edge   *edge.Edge
	bad    bool            // the latest settled look was unreachable
	latest latest          // observation
	prefer netip.Addr      // of a name: the address that answered last
	tried  []netip.Addr    // of a name: the addresses that the latest probe tries
	anchor mesh.Outcome    // of an anchor: its latest outcome
	began  time.Time       // when the latest look began
	next   time.Time       // when the next look is scheduled
	owed   uint64          // the round that a postponed look answers
	look   *edge.Series    // under way, or nil
	ctx    context.Context // of the look's probes
	cancel context.CancelFunc
}

// duties are the edges that this vantage probes, anchors included.
type duties map[target]*duty

// probeEvent is something that happened to a probe. Exactly one of the last three fields is set.
type probeEvent struct {
	duty   *duty
	look   *edge.Series // that started the probe; it may have ended meanwhile
	number int          // of the probe in the look

	resolved  []netip.Addr // the addresses that the host's name has
	connected bool         // the ping was answered, or the connection stands
	result    *probe.Result
}

// setCatalog puts a catalog in force. Edges whose question is the same as before keep what they learned and their look.
func (v *vantage) setCatalog(c *catalog.Catalog, now time.Time) {
	if len(v.fresh) > 0 {
		v.flush(now) // a batch states its catalog's revision, and these observations were made by the one before
	}
	old := v.duties
	v.catalog, v.region, v.duties = c, "", duties{}
	if host := c.Host(v.config.Name); host != nil {
		v.region = host.Region
	}
	for _, plan := range append(schedule.Plan(c, v.config.Name), planAnchors(c, v.region)...) {
		key := target{plan.Host.Key(), plan.Check.Name, plan.Family}
		d := &duty{Duty: plan, edge: edge.New(c.Rule, *plan.Check)}
		if same := old[key]; same != nil && same.asksTheSame(plan) {
			same.Duty, d = plan, same
			delete(old, key)
		}
		d.edge.SetRule(c.Rule)
		d.next = plan.Next(now)
		v.duties[key] = d
	}
	for _, gone := range old {
		gone.end()
	}
	v.gossip.setCatalog(permitted(c, v.config.Allow, v.config.Name), v.keys)
	v.config.Logger.Info().Str("catalog", c.Revision).Int("duties", len(v.duties)).Msg("catalog in force")
}

func (d *duty) asksTheSame(plan schedule.Duty) bool {
	return catalog.SameAddress(d.Address, plan.Address) && d.Check.SameQuestion(plan.Check) &&
		d.Check.Timeout == plan.Check.Timeout
}

// beginScheduled begins the look that is due, unless one is still under way.
func (v *vantage) beginScheduled(d *duty, now time.Time) {
	if !v.hasRoom(d, now) {
		d.next = now.Add(busyRetry)
		return
	}
	d.next = d.Next(now)
	if d.look == nil {
		v.begin(d, now, d.owed)
	}
}

// hasRoom reports whether a look may begin now. What does not fit is postponed, so that a storm of requests or an
// absurd catalog is answered late and never becomes a flood of probes.
func (v *vantage) hasRoom(d *duty, now time.Time) bool {
	return v.underWay < probesMax && v.caps.Available(now, d.Address)
}

// lookNow begins looks at all checks of a host, for a round. A look under way answers the round too. Agents in the
// host's own region do not answer: a round asks every other region.
func (v *vantage) lookNow(ask mesh.RoundRequest, now time.Time) {
	if v.catalog == nil {
		return
	}
	if host := v.catalog.Host(ask.Host); host == nil || host.Region == v.region {
		return
	}
	for key, d := range v.duties {
		switch {
		case key.host != ask.Host:
		case d.look != nil:
			d.look.Join(ask.Round)
		case !v.hasRoom(d, now):
			d.owed, d.next = max(d.owed, ask.Round), earlier(now.Add(busyRetry), d.next)
		default:
			v.begin(d, now, ask.Round)
		}
	}
}

// begin begins a look; round is zero for one that only the schedule asks for.
func (v *vantage) begin(d *duty, now time.Time, round uint64) {
	d.ctx, d.cancel = context.WithCancel(v.ctx)
	look, step := d.edge.Begin(now, round, v.window.Loss(d.Host.Key()))
	d.look, d.began, d.owed = look, now, 0
	v.apply(d, step)
}

// apply does what a step of the look requires.
func (v *vantage) apply(d *duty, s edge.Step) {
	for _, p := range s.Send {
		v.startProbe(d, p)
	}
	for _, o := range s.Report {
		v.observe(d, o)
	}
	if s.Done {
		d.end()
	}
}

// end forgets the look under way and cancels its probes.
func (d *duty) end() {
	if d.look != nil {
		d.cancel()
		d.look = nil
	}
}

// startProbe runs one probe in the background. It sends its events to the loop.
func (v *vantage) startProbe(d *duty, p edge.Probe) {
	v.underWay++
	t := probe.Target{
		Check: *d.Check, Address: d.Address, Family: d.Family, Prefer: d.prefer,
		Agent: v.config.Name, Version: v.config.Version,
		Memory: v.memory, Serials: v.serials, Secrets: v.secrets,
	}
	if v.catalog != nil {
		t.Page = v.catalog.Page.URL
	}
	ctx, event := d.ctx, probeEvent{duty: d, look: d.look, number: p.Number}
	report := func(e probeEvent) {
		select {
		case v.probes <- e:
		case <-v.ctx.Done():
		}
	}
	if d.Host.Named() {
		t.Resolved = func(addresses []netip.Addr) {
			resolved := event
			resolved.resolved = addresses
			report(resolved)
		}
	}
	free := v.caps.Allow(time.Now(), d.Address)
	v.tasks.Go(func() {
		bounded, cancel := context.WithDeadline(ctx, p.Until)
		defer cancel()
		r := probe.Result{Reason: probe.ErrTooMany.Error()}
		if free {
			r = probe.Once(bounded, v.config.Network, t, func() {
				connected := event
				connected.connected = true
				report(connected)
			})
		}
		event.result = &r
		report(event)
	})
}

// handleProbe passes an event of a probe to its look, unless that has ended.
func (v *vantage) handleProbe(e probeEvent, now time.Time) {
	if e.result != nil {
		v.underWay--
	}
	d := e.duty
	if d.look != e.look {
		return
	}
	switch {
	case e.resolved != nil:
		d.tried = e.resolved
	case e.connected:
		e.look.Connected(now, e.number)
	case e.result != nil:
		if e.result.Address.IsValid() {
			d.prefer = e.result.Address
		}
		v.apply(d, e.look.Answer(now, e.number, d.edgeResult(*e.result)))
	}
}

// edgeResult converts a probe's result. It states the address only where the host has a name: else everybody knows it.
func (d *duty) edgeResult(r probe.Result) edge.Result {
	out := edge.Result{
		Outcome: r.Outcome, Reason: r.Reason, RTT: r.RTT, Link: r.Connect, Definite: r.Definite, Expiry: r.Expiry,
		Phases: r.Phases,
	}
	if d.Host.Named() {
		out.Address = r.AddressSummary()
	}
	return out
}

// observe completes an observation of the edge and adds it to the next batch, which leaves at once where it is news:
// a miss, a failure, a recovery, an answer to a round, or another reason why the vantage cannot probe. The same
// reason again is not news: a vantage without IPv6 has it for each such check with each look.
func (v *vantage) observe(d *duty, o mesh.Observation) {
	news := o.Outcome == mesh.Unreachable || o.Outcome == mesh.Inconclusive && o.Reason != d.latest.observation.Reason
	d.latest.note(o)
	if d.isAnchor() {
		v.observeAnchor(d, o)
		return
	}
	o.Host, o.Check, o.Family = d.Host.Key(), d.Check.Name, d.Family
	if d.Host.Named() && o.Stage == mesh.Settled && o.Outcome == mesh.Unreachable && o.Address == "" {
		o.Address = probe.Silence(d.tried) // the look ended before its probes could report
	}
	// Only probes of a good look count as lost on the way. Those of a host that is down would make this vantage's
	// loss seem high, and the next failure slow to notice.
	if o.Stage == mesh.Settled && o.Outcome.Good() {
		for n := range o.Sent {
			v.window.Add(o.Host, n < o.Lost)
		}
	}
	if o.Stage == mesh.Missed {
		v.testAnchors(time.Now())
	}
	if d.Check.Kind == catalog.KindPing && o.Outcome == mesh.Unreachable {
		v.gossip.requestProof(o.Host, time.Now()) // a host that proves that it is alive only filters pings
	}
	v.fresh = append(v.fresh, o)
	recovered := d.updateBad(o)
	if o.Stage == mesh.Missed || o.Round != 0 || news || recovered || o.Sent > 1 {
		v.flushSoon(time.Now())
	}
}

// flushSoon has the next batch leave within coalesceDelay.
func (v *vantage) flushSoon(now time.Time) { v.flushAt = earlier(v.flushAt, now.Add(coalesceDelay)) }

// updateBad updates bad, and reports whether the observation is a recovery. The edge has changed its state by then.
func (d *duty) updateBad(o mesh.Observation) (recovered bool) {
	before := d.bad
	if o.Outcome != mesh.Inconclusive && o.Stage == mesh.Settled {
		d.bad = o.Outcome == mesh.Unreachable
	}
	return before && !d.bad
}

// abandon ends a look as inconclusive, because this machine stood still.
func (v *vantage) abandon(d *duty, now time.Time) {
	o := mesh.Observation{
		Began: now, Outcome: mesh.Inconclusive, Stage: mesh.Settled, Reason: "this machine's timers were late",
	}
	v.observe(d, o)
	d.end()
	d.next = d.Next(now)
}
