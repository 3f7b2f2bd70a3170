package judge

import (
	"slices"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/persist"
	"github.com/probemesh/probemesh/pkg/quorum"
)

// Save returns the judge's state between two steps. Load continues from it as this judge does.
func (j *Judge) Save() []byte {
	w := persist.Writer()
	catalog.PersistRoster(w, j.mesh.agents.Roster())
	(&saved{Walk: w, j: j}).judge()
	return w.Bytes()
}

// Load returns a judge with a saved state, which began with the catalog that was in force and those before it. It fails
// with persist.ErrMalformed if they do not fit.
func Load(c *catalog.Catalog, earlier []*catalog.Catalog, data []byte) (*Judge, error) {
	r, roster := persist.Reader(data), &mesh.Roster{}
	catalog.PersistRoster(r, roster)
	j := New(Start{Catalog: c, Earlier: earlier, Roster: roster})
	(&saved{Walk: r, j: j}).judge()
	return j, r.Err()
}

// saved is one walk over a judge. What the catalog and the roster determine, New has built: the walk fills it.
type saved struct {
	*persist.Walk
	j      *Judge
	rounds []*round // that were met already: checks share them
}

func (s *saved) judge() {
	env, m := s.j.env, s.j.mesh
	s.Time(&env.now)
	persist.Integer(s.Walk, &env.offset)
	persist.Integer(s.Walk, &env.sequence)
	s.Time(&env.gapEnd)
	s.Bool(&env.agentHeard)
	s.Bool(&env.halfSilent)
	persist.Integer(s.Walk, &s.j.intake.ignored)
	persist.Integer(s.Walk, &s.j.rounds.budget.vantages)
	persist.Integer(s.Walk, &m.catalogs)
	s.Time(&m.revisedAt)
	persist.Map(s.Walk, &m.revisions, func(n *int) { persist.Integer(s.Walk, n) })
	s.Size(len(m.order))
	for _, v := range m.order {
		s.vantage(v)
	}
	s.Size(len(m.hosts))
	for _, h := range m.hosts {
		s.host(h)
	}
	persist.List(s.Walk, &s.j.rounds.requested, func(h **host) { s.hostOf(h) })
	persist.List(s.Walk, &s.j.verdicts.correlation.held, s.checkOf)
	persist.List(s.Walk, &s.j.verdicts.correlation.falls, func(f *fall) {
		persist.Text(s.Walk, &f.host)
		s.Time(&f.at)
		persist.Texts(s.Walk, &f.bad)
		persist.Texts(s.Walk, &f.ok)
		persist.Text(s.Walk, &f.cause)
	})
}

func (s *saved) vantage(v *vantage) {
	s.Bool(&v.silent)
	s.Time(&v.heardAt)
	s.identity(&v.identity)
	s.report(&v.report)
	s.gossip(&v.gossip)
	s.account(&v.account)
	s.Bool(&v.anchorsFail)
	for f := range families {
		persist.Integer(s.Walk, &v.bad[f])
		s.Bool(&v.isolated[f])
	}
}

func (s *saved) identity(d *identity) {
	s.window(&d.current)
	persist.List(s.Walk, &d.earlier, func(e *earlierEpoch) {
		s.window(&e.window)
		persist.Integer(s.Walk, &e.returns)
		s.Time(&e.first)
		s.Time(&e.last)
	})
	s.Time(&d.sharedSince)
	s.Time(&d.sharedUntil)
}

func (s *saved) window(b *batchWindow) {
	persist.Integer(s.Walk, &b.epoch)
	persist.Integer(s.Walk, &b.highest)
	persist.Integer(s.Walk, &b.seen)
}

// report walks over what setReport sets.
func (s *saved) report(r *mesh.VantageState) {
	persist.Text(s.Walk, &r.Version)
	persist.Text(s.Walk, &r.Revision)
	s.Time(&r.Connected)
	persist.Integer(s.Walk, &r.Clock)
	persist.Integer(s.Walk, &r.Lag)
	persist.Integer(s.Walk, &r.Queued)
	persist.Integer(s.Walk, &r.Dropped)
	persist.Text(s.Walk, &r.SpoolOff)
	persist.Text(s.Walk, &r.Refusal.Revision)
	persist.Text(s.Walk, &r.Refusal.Reason)
}

func (s *saved) gossip(g *gossipView) {
	persist.Map(s.Walk, &g.proofs, func(a **answers) { persist.Optional(s.Walk, a, s.answers) })
	persist.Texts(s.Walk, &g.dead)
}

func (s *saved) answers(a *answers) {
	s.Time(&a.since)
	persist.List(s.Walk, &a.latest, s.Time)
}

func (s *saved) account(a *account) {
	s.Float(&a.balance)
	s.Time(&a.at)
}

func (s *saved) host(h *host) {
	persist.Text(s.Walk, &h.status)
	persist.Text(s.Walk, &h.aside)
	s.Time(&h.since)
	persist.List(s.Walk, &h.requests, func(q *roundRequest) {
		s.vantageOf(&q.vantage)
		persist.Integer(s.Walk, &q.basis)
		s.Time(&q.since)
		s.Time(&q.due)
		persist.List(s.Walk, &q.requesters, s.requester)
	})
	s.Time(&h.lastRound)
	s.account(&h.account)
	persist.List(s.Walk, &h.payments, func(p *payment) {
		s.vantageOf(&p.vantage)
		s.Float(&p.cost)
		s.Time(&p.at)
	})
	persist.Text(s.Walk, &h.cause)
	s.Bool(&h.dead)
	s.Size(len(h.checks))
	for _, c := range h.checks {
		s.check(c)
	}
}

func (s *saved) requester(q *requester) {
	s.vantageOf(&q.vantage)
	persist.Text(s.Walk, &q.check)
	persist.Integer(s.Walk, &q.family)
	persist.Integer(s.Walk, &q.vote)
}

func (s *saved) check(c *check) {
	persist.Integer(s.Walk, &c.firstCatalog)
	persist.Text(s.Walk, &c.verdict)
	s.participation(&c.rounds)
	persist.Text(s.Walk, &c.published)
	c.flap.Persist(s.Walk)
	s.Time(&c.since)
	persist.Text(s.Walk, &c.rule)
	persist.Text(s.Walk, &c.sentence)
	persist.Optional(s.Walk, &c.first, func(f *mesh.Sighting) {
		persist.Text(s.Walk, &f.Region)
		s.Time(&f.At)
	})
	persist.Integer(s.Walk, &c.tally.Regions)
	persist.Integer(s.Walk, &c.tally.Voters)
	persist.Integer(s.Walk, &c.tally.OK)
	persist.Integer(s.Walk, &c.tally.Bad)
	s.Bool(&c.fromVotes)
	s.Bool(&c.leftOut)
	s.Time(&c.freshUntil)
	persist.Integer(s.Walk, &c.priorRegions)
	s.Time(&c.heldSince)
	persist.Text(s.Walk, &c.heldAs)
	s.Time(&c.unconfirmedAt)
	all := slices.Concat(c.edges, c.spares)
	sortEdges(all)
	s.Size(len(all))
	for _, e := range all {
		s.edge(e)
	}
	if s.Reading() {
		divideEdges(c, all)
	}
}

func (s *saved) edge(e *edge) {
	s.Bool(&e.spare)
	persist.Integer(s.Walk, &e.outcome)
	persist.Text(s.Walk, &e.reason)
	persist.Text(s.Walk, &e.address)
	persist.Optional(s.Walk, &e.expiry, func(x *mesh.Expiry) {
		persist.Text(s.Walk, &x.What)
		s.Time(&x.At)
		persist.Text(s.Walk, &x.Issuer)
	})
	persist.Integer(s.Walk, &e.rtt)
	s.Time(&e.began)
	s.Time(&e.ended)
	s.Bool(&e.missed)
	s.Bool(&e.muted)
	s.Time(&e.missedAt)
	persist.Integer(s.Walk, &e.round)
	persist.Integer(s.Walk, &e.streak)
	persist.Optional(s.Walk, &e.answers, s.answers)
	h := &e.history
	persist.Integer(s.Walk, &h.run)
	s.Time(&h.since)
	s.Time(&h.turned)
	persist.Integer(s.Walk, &h.before.run)
	s.Time(&h.before.since)
	s.Time(&h.before.last)
	s.Time(&h.lastGood)
	s.Time(&h.lastBad)
	s.Float(&e.loss)
	persist.Optional(s.Walk, &e.alone, func(b *backoff) {
		persist.Integer(s.Walk, &b.failures)
		s.Time(&b.until)
		s.Time(&b.last)
	})
}

func (s *saved) participation(p *participation) {
	s.round(&p.current)
	s.round(&p.next)
	persist.List(s.Walk, (*[]quorum.Finding)(&p.findings), func(f *quorum.Finding) {
		s.Time(&f.Opened)
		s.Time(&f.Closed)
		persist.Texts(s.Walk, &f.Bad)
		persist.Texts(s.Walk, &f.OK)
	})
	persist.List(s.Walk, (*[]dissent)(&p.dissents), func(d *dissent) {
		persist.Text(s.Walk, &d.region)
		persist.Integer(s.Walk, &d.rounds)
		s.Time(&d.last)
		s.Time(&d.until)
	})
	persist.Texts(s.Walk, &p.requestedBy)
}

// round walks over a round. Checks that share one share it afterwards: an answer to one check's is one to the others'.
func (s *saved) round(r **round) {
	place := 0 // none
	if !s.Reading() && *r != nil {
		if place = slices.Index(s.rounds, *r) + 1; place == 0 {
			place = len(s.rounds) + 1
		}
	}
	persist.Integer(s.Walk, &place)
	switch {
	case place == 0:
		*r = nil
	case place > 0 && place <= len(s.rounds):
		*r = s.rounds[place-1]
	case place == len(s.rounds)+1:
		if s.Reading() {
			*r = &round{}
		}
		s.rounds = append(s.rounds, *r)
		persist.Integer(s.Walk, &(*r).id)
		s.Time(&(*r).opened)
		s.Time(&(*r).since)
		s.Bool(&(*r).answered)
		persist.List(s.Walk, &(*r).requesters, s.requester)
	default:
		s.Fail()
	}
}

// vantageOf walks over a reference to a vantage. One that has left the catalog is read as one without edges.
func (s *saved) vantageOf(v **vantage) {
	present := *v != nil
	s.Bool(&present)
	if !present {
		*v = nil
		return
	}
	var key string
	if !s.Reading() {
		key = (*v).key
	}
	persist.Text(s.Walk, &key)
	if !s.Reading() {
		return
	}
	if *v = s.j.mesh.vantages[key]; *v == nil {
		*v = &vantage{key: key}
	}
}

// hostOf walks over a reference to a host. One that has left the catalog is read as one without checks.
func (s *saved) hostOf(h **host) {
	var key string
	if !s.Reading() {
		key = (*h).key
	}
	persist.Text(s.Walk, &key)
	if !s.Reading() {
		return
	}
	if *h = s.j.mesh.byKey[key]; *h == nil {
		*h = &host{key: key}
	}
}

func (s *saved) checkOf(c **check) {
	var h *host
	place := 0
	if !s.Reading() {
		h = (*c).host
		place = slices.Index(h.checks, *c)
	}
	s.hostOf(&h)
	persist.Integer(s.Walk, &place)
	if !s.Reading() {
		return
	}
	if place < 0 || place >= len(h.checks) {
		s.Fail()
		*c = &check{host: h}
		return
	}
	*c = h.checks[place]
}
