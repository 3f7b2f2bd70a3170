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

// target names an edge.
type target struct {
	host, check string
	family      mesh.Family
}

// duty is an edge that this vantage owes looks at.
type duty struct {
	schedule.Duty
	edge   *edge.Edge
	bad    bool            // what was last said of it
	latest latest          // what it was last found to be
	prefer netip.Addr      // of a name: the address that answered last
	tried  []netip.Addr    // of a name: the addresses that the latest probe tries
	seen   mesh.Outcome    // of an anchor: the latest outcome
	began  time.Time       // its latest look
	next   time.Time       // its next scheduled look
	owed   uint64          // the round that a postponed look will answer
	look   *edge.Look      // under way, or nil
	ctx    context.Context // of the look's probes
	cancel context.CancelFunc
}

// newCatalog takes over a catalog. Edges that ask the same as before keep what they learned and their look under way.
func (v *vantage) newCatalog(c *catalog.Catalog) {
	now := time.Now()
	if len(v.fresh) > 0 {
		v.flush(now) // what was seen answers the catalog before, and says so
	}
	old := v.duties
	v.catalog, v.region, v.duties = c, "", map[target]*duty{}
	if host := c.Host(v.Name); host != nil {
		v.region = host.Region
	}
	for _, plan := range append(schedule.Plan(c, v.Name), v.planAnchors(c)...) {
		key := target{plan.Host.Key(), plan.Check.Name, plan.Family}
		d := newDuty(c.Rule, plan)
		if was := old[key]; was != nil && was.Address == plan.Address && was.Check.SameQuestion(plan.Check) && was.Check.Timeout == plan.Check.Timeout {
			was.Duty, d = plan, was
			delete(old, key)
		}
		d.edge.SetRule(c.Rule)
		d.next = plan.Next(now)
		v.duties[key] = d
	}
	for _, gone := range old {
		gone.end()
	}
	if v.Gossip != nil {
		v.Gossip.SetCatalog(v.permitted(c), v.keys)
	}
	v.Logger.Info().Str("catalog", c.Revision).Int("duties", len(v.duties)).Msg("the catalog is in force")
}

// scheduled begins the look that is due, unless one is still under way.
func (v *vantage) scheduled(d *duty, now time.Time) {
	if !v.room(d, now) {
		d.next = now.Add(busyRetry)
		return
	}
	d.next = d.Next(now)
	if d.look == nil {
		v.begin(d, now, d.owed)
	}
}

// room reports whether a look may begin now: what does not fit is postponed, so that a storm of asks or an absurd catalog is
// answered late and never becomes a flood.
func (v *vantage) room(d *duty, now time.Time) bool {
	return v.underWay < probesMax && v.caps.Has(now, d.Address)
}

// lookNow looks at all checks of the host at once. A look under way answers too. The host's own region is not asked.
func (v *vantage) lookNow(ask mesh.Ask, now time.Time) {
	if host := v.hostOf(ask); host == nil || host.Region == v.region {
		return
	}
	for key, d := range v.duties {
		switch {
		case key.host != ask.Host:
		case d.look != nil:
			d.look.Join(ask.Round)
		case !v.room(d, now):
			d.owed, d.next = max(d.owed, ask.Round), earlier(now.Add(busyRetry), d.next)
		default:
			v.begin(d, now, ask.Round)
		}
	}
}

func (v *vantage) hostOf(ask mesh.Ask) *catalog.Host {
	if v.catalog == nil {
		return nil
	}
	return v.catalog.Host(ask.Host)
}

func (v *vantage) begin(d *duty, now time.Time, round uint64) {
	d.ctx, d.cancel = context.WithCancel(v.ctx)
	look, step := d.edge.Begin(now, round, v.window.Loss(d.Host.Key()))
	d.look, d.began, d.owed = look, now, 0
	v.take(d, step)
}

// take does what a step says.
func (v *vantage) take(d *duty, s edge.Step) {
	for _, p := range s.Send {
		v.send(d, p)
	}
	for _, o := range s.Say {
		v.say(d, o)
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

// send starts one probe. What it finds comes back to the loop, and is heard while its look is under way.
func (v *vantage) send(d *duty, p edge.Probe) {
	v.underWay++
	look, ctx := d.look, d.ctx
	t := probe.Target{
		Check: *d.Check, Address: d.Address, Family: d.Family, Prefer: d.prefer, Agent: v.Name, Version: v.Version,
		Memory: v.memory,
	}
	if v.catalog != nil {
		t.Page = v.catalog.Page.URL
	}
	hear := func(take func(now time.Time)) {
		v.report(func() {
			if d.look == look {
				take(time.Now())
			}
		})
	}
	if d.Host.Named() {
		t.Resolved = func(addresses []netip.Addr) { hear(func(time.Time) { d.tried = addresses }) }
	}
	free := v.caps.Take(time.Now(), d.Address)
	v.tasks.Go(func() {
		bounded, cancel := context.WithDeadline(ctx, p.Until)
		defer cancel()
		r := probe.Result{Reason: probe.ErrTooMany.Error()}
		if free {
			r = probe.Once(bounded, v.Network, t, func() {
				hear(func(now time.Time) { look.Connected(now, p.Number) })
			})
		}
		v.report(func() { v.underWay-- })
		hear(func(now time.Time) {
			if r.Address.IsValid() {
				d.prefer = r.Address
			}
			v.take(d, look.Answer(now, p.Number, d.found(r)))
		})
	})
}

// found is a probe's result for the edge. Where the host's address is a number, everybody knows which address it was.
func (d *duty) found(r probe.Result) edge.Result {
	out := edge.Result{Outcome: r.Outcome, Reason: r.Reason, RTT: r.RTT, Link: r.Connect, Definite: r.Definite}
	if d.Host.Named() {
		out.Address = r.Where()
	}
	return out
}

// say makes an observation of the edge, and sends it at once when it is news: a miss, a change, or an answer to a
// round. That a vantage still cannot ask, as over IPv6 where it has none, is not: it is so of each such check with
// each look.
func (v *vantage) say(d *duty, o mesh.Observation) {
	news := o.Outcome == mesh.Unreachable || o.Outcome == mesh.Inconclusive && o.Reason != d.latest.Reason
	d.latest.note(o)
	if d.isAnchor() {
		v.anchorObserved(d, o)
		return
	}
	o.Host, o.Check, o.Family = d.Host.Key(), d.Check.Name, d.Family
	if d.Host.Named() && o.Stage == mesh.Settled && o.Outcome == mesh.Unreachable && o.Address == "" {
		o.Address = probe.Silence(d.tried) // the look ends before its probes report
	}
	// What is lost on the way to a host that is away tells nothing of this vantage: it would make the next failure slow to see.
	if o.Stage == mesh.Settled && o.Outcome.Good() {
		for n := range o.Sent {
			v.window.Add(o.Host, n < o.Lost)
		}
	}
	if o.Stage == mesh.Missed {
		v.testAnchors(time.Now())
	}
	v.confirmByGossip(d, o)
	v.fresh = append(v.fresh, o)
	recovered := d.wasBad(o)
	if o.Stage == mesh.Missed || o.Round != 0 || news || recovered || o.Sent > 1 {
		v.flushAt = earlier(v.flushAt, time.Now().Add(coalesceDelay))
	}
}

// wasBad reports whether a good observation follows bad ones. The edge has already turned, so the duty remembers.
func (d *duty) wasBad(o mesh.Observation) bool {
	was := d.bad
	if o.Outcome != mesh.Inconclusive && o.Stage == mesh.Settled {
		d.bad = o.Outcome == mesh.Unreachable
	}
	return was && !d.bad
}

// abandon ends a look that tells of this machine and not of the host.
func (v *vantage) abandon(d *duty, now time.Time) {
	o := mesh.Observation{Began: now, Outcome: mesh.Inconclusive, Stage: mesh.Settled, Reason: "this machine's timers were late"}
	v.say(d, o)
	d.end()
	d.next = d.Next(now)
}
