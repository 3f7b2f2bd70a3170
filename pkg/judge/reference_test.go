package judge_test

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// reference is a second implementation of the rule: plain, slow, and written from its sentences. It stores the latest
// observation of every edge and computes everything again at every step. It gets the rounds from the judge, and has
// neither budgets nor holds nor flapping.
//
// Large because it is the whole rule in one piece, in the order of its text, to be compared with that line by line.
type reference struct {
	rule     catalog.Rule
	enrolled map[string]bool
	region   map[string]string // of each vantage
	targets  []*refTarget
	began    time.Time // of the stream, or of its latest part after a silence
	spoken   bool      // an agent was heard since
	now      time.Time
	batches  map[string]*mesh.Batch // the latest of each vantage
	heard    map[string]time.Time
	words    map[refEdge]refWord
	proofs   map[refPair][]time.Time // when the nonces were sent that were signed
	outcasts map[refFace]bool        // which vantages are isolated now
	epochs   map[string][]uint64     // of each vantage, the present one last
	returns  map[refEpoch][]time.Time
	shared   map[string]time.Time // when two agents last used one vantage's identity
	old      map[refPart]bool     // whose agent last reported on a name without a family
	closings int                  // rounds that ended
	filtered int                  // times that a ping left down although a vantage still lost it
}

// refTarget is one check of a host, with its verdict.
type refTarget struct {
	*catalog.Check
	host      *catalog.Host
	families  []mesh.Family
	seats     []refSeat // its own region's too
	round     *refRound // the one that is open
	next      *refRound // the newest that was asked for since
	verdict   mesh.Verdict
	madeBy    time.Time     // until when the votes that made the verdict are fresh
	sightings []refSighting // what its rounds found since it was up
}

// refSeat is a region's part in the verdict of a target.
type refSeat struct {
	region   string
	vantages []string
	holds    map[mesh.Family]mesh.Vote // as of now, if no vantage was isolated
}

type refEdge struct {
	vantage string
	target  *refTarget
	family  mesh.Family
}

// refPair is a vantage and a host that it gossips with.
type refPair struct{ vantage, host string }

// refPart is a vantage's part in the verdict of a target.
type refPart struct {
	vantage string
	target  *refTarget
}

// refFace is a vantage as far as it probes through a family.
type refFace struct {
	vantage string
	family  mesh.Family
}

// refEpoch is one start of a vantage's agent.
type refEpoch struct {
	vantage string
	epoch   uint64
}

// refWord is the latest live observation of an edge.
type refWord struct {
	outcome mesh.Outcome
	reason  string
	began   time.Time
	ended   time.Time
	round   uint64
	run     []time.Time // when its good probes in a row began
	missed  bool        // a first miss came after it
	mute    bool        // it was an ok when a round ended that it had not answered
	failing time.Time   // when the first probe of its failing run began
}

// refSighting is what a round found: the regions that voted bad, and ok.
type refSighting struct {
	opened, closed time.Time
	bad, ok        []string
}

type refRound struct {
	mesh.RoundRequest
	opened   time.Time
	answered bool // a vantage probed because of it
}

func newReference(c *catalog.Catalog, roster *mesh.Roster) *reference {
	r := &reference{
		rule: c.Rule, enrolled: map[string]bool{}, region: map[string]string{},
		epochs: map[string][]uint64{}, returns: map[refEpoch][]time.Time{}, shared: map[string]time.Time{},
		batches: map[string]*mesh.Batch{}, heard: map[string]time.Time{}, words: map[refEdge]refWord{},
		proofs: map[refPair][]time.Time{},
		old:    map[refPart]bool{},
	}
	for _, v := range roster.Vantages {
		r.enrolled[v] = true
	}
	for i := range c.Hosts {
		r.region[c.Hosts[i].Key()] = c.Hosts[i].Region
	}
	for i := range c.Hosts {
		for n := range c.Hosts[i].Checks {
			h := &c.Hosts[i]
			t := &refTarget{Check: &h.Checks[n], host: h, families: h.FamiliesOf(&h.Checks[n]), verdict: mesh.Pending}
			r.targets = append(r.targets, t)
			r.seat(t, c.Regions, schedule.NewChooser(c).Observers(h, t.Check))
		}
	}
	return r
}

func (r *reference) seat(t *refTarget, regions []catalog.Region, observers []string) {
	for _, region := range regions {
		s := refSeat{region: region.Name, holds: map[mesh.Family]mesh.Vote{}}
		for _, v := range observers {
			if r.region[v] == region.Name {
				s.vantages = append(s.vantages, v)
			}
		}
		t.seats = append(t.seats, s)
	}
}

func (r *reference) target(host, check string) *refTarget {
	return r.targets[slices.IndexFunc(r.targets, func(t *refTarget) bool {
		return t.host.Key() == host &&
			t.Name == check
	})]
}

// receive applies a message of the stream: what its agent reports of itself, and then what it saw.
func (r *reference) receive(in judge.Input) {
	if r.now.IsZero() || r.spoken && in.At.Sub(r.now) > r.rule.Silence {
		r.began, r.spoken = in.At, false
	}
	r.now = in.At
	if in.Batch == nil {
		r.settle()
		return
	}
	agent := in.Batch.Agent
	if !r.enrolled[agent] {
		return
	}
	part, abstained := r.part(agent), r.abstains(agent)
	if !r.present(agent, in.Batch.Epoch) {
		r.settle()
		return
	}
	r.batches[agent], r.heard[agent], r.spoken = in.Batch, in.At, true
	if part != r.part(agent) || abstained != r.abstains(agent) {
		r.settle()
	}
	for _, a := range in.Batch.Gossip.Proofs {
		r.prove(refPair{agent, a.Host}, a.At)
	}
	if len(in.Batch.Observations)+len(in.Batch.Gossip.Proofs) > 0 {
		for _, o := range in.Batch.Observations {
			r.see(in.Batch, o)
		}
		r.settle()
	}
}

// present: a batch counts if its epoch is the newest of its vantage. One that another followed counts when the newest
// has been silent for six seconds; three such batches over six seconds, with the newest still sending, are of a second
// agent.
func (r *reference) present(vantage string, epoch uint64) bool {
	all := r.epochs[vantage]
	switch i := slices.Index(all, epoch); {
	case i < 0:
		r.epochs[vantage] = append(all, epoch)
		return true
	case i == len(all)-1:
		return true
	}
	key := refEpoch{vantage, epoch}
	if n := len(r.returns[key]); n > 0 && r.now.Sub(r.returns[key][n-1]) > time.Minute {
		r.returns[key] = nil
	}
	r.returns[key] = append(r.returns[key], r.now)
	if r.now.Sub(r.heard[vantage]) > r.rule.Silence {
		r.epochs[vantage] = append(slices.DeleteFunc(all, func(e uint64) bool { return e == epoch }), epoch)
		r.returns[key] = nil
		return true
	}
	if run := r.returns[key]; len(run) >= 3 && r.now.Sub(run[0]) >= r.rule.Silence {
		r.shared[vantage] = r.now
	}
	return false
}

// sharesIdentity: a vantage whose identity two agents use abstains until a minute after that was last seen.
func (r *reference) sharesIdentity(vantage string) bool {
	at, ok := r.shared[vantage]
	return ok && r.now.Before(at.Add(time.Minute))
}

// prove records that the host signed the vantage's nonce: never later than it is reported, and each proof once. A bare
// acknowledgement of gossip is no evidence.
func (r *reference) prove(p refPair, at time.Time) {
	if at.After(r.now) {
		at = r.now
	}
	if all := r.proofs[p]; len(all) == 0 || at.After(all[len(all)-1]) {
		r.proofs[p] = append(all, at)
	}
}

// see applies an observation.
func (r *reference) see(b *mesh.Batch, o mesh.Observation) {
	edge := refEdge{b.Agent, r.target(o.Host, o.Check), o.Family}
	for _, round := range []*refRound{edge.target.round, edge.target.next} {
		if round != nil && o.Round >= round.Round {
			round.answered = true
		}
	}
	w := r.words[edge]
	switch {
	case b.Replayed(o), o.Began.Before(w.began), o.Began.Equal(w.began) &&
		(o.Stage == mesh.Missed || o.Round <= w.round):
		return // known already, unless the same probe comes again as the answer to a round
	case w.outcome != mesh.Unreachable && !w.missed && (o.Stage == mesh.Missed || o.Outcome == mesh.Unreachable):
		w.failing = o.Began
	}
	if o.Stage == mesh.Settled {
		r.speaks(refPart{b.Agent, edge.target}, o.Family)
	}
	switch {
	case o.Stage == mesh.Missed:
		w.missed = true
		r.words[edge] = w
		return
	case !o.Outcome.Good():
		w.run = nil
	case !o.Began.Equal(w.began):
		w.run = append(w.run, o.Began)
	}
	w.outcome, w.began, w.ended, w.round, w.missed, w.mute = o.Outcome, o.Began, o.Ended(), o.Round, false, false
	w.reason = o.Reason
	r.words[edge] = w
}

// speaks: a report on a name without a family is from an agent of the previous version. What the agent reported in the
// other way is forgotten.
func (r *reference) speaks(p refPart, f mesh.Family) {
	if old := f == mesh.AnyFamily; old != r.old[p] {
		for _, gone := range r.families(p.vantage, p.target) {
			delete(r.words, refEdge{p.vantage, p.target, gone})
		}
		r.old[p] = old
	}
}

// families returns those through which the vantage reports on the target.
func (r *reference) families(vantage string, t *refTarget) []mesh.Family {
	if r.old[refPart{vantage, t}] {
		return []mesh.Family{mesh.AnyFamily}
	}
	return t.families
}

// leftOut: a family whose latest fresh observation is that the vantage cannot probe through it, or that the name has no
// address in it.
func (r *reference) leftOut(e refEdge) bool {
	w := r.words[e]
	cannot := strings.HasPrefix(w.reason, "no local route") || strings.HasPrefix(w.reason, "not permitted: ")
	none := strings.HasPrefix(w.reason, "the name has no IPv")
	return !w.ended.IsZero() && r.now.Before(r.expires(e)) && w.outcome == mesh.Inconclusive && (cannot || none)
}

// gossips: gossip proves the family of the host's first address; of a name, the family that is left if the vantage has
// no route to the other one, or the name no address in it.
func (r *reference) gossips(e refEdge) bool {
	if _, err := netip.ParseAddr(e.target.host.Addresses[0]); err == nil || e.family == mesh.AnyFamily {
		return err != nil || e.family == e.target.families[0]
	}
	other := refEdge{e.vantage, e.target, mesh.IPv4}
	if e.family == mesh.IPv4 {
		other.family = mesh.IPv6
	}
	return r.leftOut(other) && !strings.HasPrefix(r.words[other].reason, "not permitted")
}

// asked records a round. A check that is in one already continues with that, and the newer one follows it.
func (r *reference) asked(ask mesh.RoundRequest) {
	round := &refRound{RoundRequest: ask, opened: r.now}
	for _, t := range r.targets {
		switch {
		case t.host.Key() != ask.Host:
		case t.round == nil:
			t.round = round
		default:
			t.next = round
		}
	}
}

// settle computes every verdict as of now.
func (r *reference) settle() {
	for _, t := range r.targets {
		for _, s := range t.seats {
			for _, f := range append([]mesh.Family{mesh.AnyFamily}, t.families...) {
				s.holds[f] = majority(s, func(v string) mesh.Vote { return r.word(refEdge{v, t, f}) })
			}
		}
	}
	r.outcasts = map[refFace]bool{}
	for v := range r.enrolled {
		for _, f := range []mesh.Family{mesh.AnyFamily, mesh.IPv4, mesh.IPv6} {
			r.outcasts[refFace{v, f}] = r.isolates(v, f)
		}
	}
	for _, t := range r.targets {
		r.judge(t)
	}
}

// silent: rule 2, an agent without a batch for six seconds in which the stream went on.
func (r *reference) silent(vantage string) bool {
	return r.now.Sub(r.heard[vantage]) > r.rule.Silence && r.now.Sub(r.began) > r.rule.Silence
}

// part: a vantage is part of the mesh when it is enrolled and was heard once.
func (r *reference) part(vantage string) bool {
	return r.enrolled[vantage] && !r.heard[vantage].IsZero()
}

// abstains: rule 3, what a vantage itself reports.
func (r *reference) abstains(vantage string) bool {
	return !r.part(vantage) || r.silent(vantage) || r.sharesIdentity(vantage) ||
		r.batches[vantage].Lag >= r.rule.LagMax || r.batches[vantage].AnchorsFail
}

// freshness: rule 2, two intervals and a timeout, and never less than a silence, an interval and a timeout.
func (t *refTarget) freshness() time.Duration {
	return max(2*t.Interval, 6*time.Second+t.Interval) + t.Timeout
}

func (r *reference) expires(e refEdge) time.Time { return r.words[e].ended.Add(e.target.freshness()) }

// word returns the edge's vote if no vantage was isolated.
func (r *reference) word(e refEdge) mesh.Vote {
	w, ok := r.words[e]
	switch {
	case r.abstains(e.vantage), !ok, w.ended.IsZero(), !r.now.Before(r.expires(e)):
		return mesh.Abstain
	case w.outcome == mesh.Inconclusive, w.mute:
		return mesh.Abstain
	case w.outcome == mesh.Unreachable && len(r.instead(e)) > 0:
		return mesh.OK
	case w.outcome == mesh.Unreachable:
		return mesh.Bad
	}
	return mesh.OK
}
