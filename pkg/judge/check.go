package judge

import (
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/status"
)

// check is the state of one check of a host. Its votes are in votes.go.
type check struct {
	// The fields that every observation reads come first, to share a cache line.
	host         *host
	config       *catalog.Check
	id           string
	freshness    time.Duration // how long an observation counts: rule 2
	firstCatalog int           // the number of the catalog that first had this check as it is now
	verdict      mesh.Verdict  // by the quorum
	rounds       participation // begins with the rounds that are open

	edges   []*edge // by region and vantage
	spares  []*edge // that take no part, see use
	ballots []ballot

	published mesh.Verdict // the verdict unless the check flaps
	flap      status.Flap
	since     time.Time
	rule      string
	sentence  string
	first     *mesh.Sighting // of the failure, as published; nil: the check is not broken
	tally     mesh.Tally
	fromVotes bool // the votes themselves showed the verdict when they were last counted
	leftOut   bool // no vantage may run it

	freshUntil   time.Time // when the last of the votes that made the verdict expires
	priorRegions int       // how many regions a verdict from the ledger was made of

	heldSince time.Time // when it fell, while its fall is held back: see correlation
	heldAs    mesh.Verdict

	// unconfirmedAt is when a round last closed with votes that look bad but did not turn the check.
	unconfirmedAt time.Time
}

func broken(v mesh.Verdict) bool { return v == mesh.Down || v == mesh.Partial }

// aside reports whether the check does not count in its host's status, since it is internal and the host is public.
func aside(c *check) bool { return !c.host.config.CountsInStatus(c.config) }

// held reports whether the check's fall is held back.
func (c *check) held() bool { return !c.heldSince.IsZero() }

// damped reports whether the published verdict is not the quorum's.
func (c *check) damped() bool { return c.published != c.verdict }

// ask returns what the quorum makes of a tally of the check's votes. mayFall allows it to turn down or partial;
// confirmed says that rounds confirmed a partial outage.
func (c *check) ask(env *environment, t mesh.Tally, mayFall, confirmed bool) quorum.Answer {
	return quorum.Decide(env.rule, quorum.Question{
		Regions: t.Regions, OK: t.OK, Bad: t.Bad,
		Before: c.verdict, BeforeFresh: env.now.Before(c.freshUntil) || c.inGracePeriod(env),
		MayFall: mayFall, Confirmed: confirmed, HalfSilent: env.halfSilent,
		HostSilent: c.host.vantage.silent || !c.host.vantage.counts(),
	})
}

// inGracePeriod reports whether the check's verdict stands because the judge or the stream has just (re)started: rule 2
// needs fresh votes, and nobody could send any.
func (c *check) inGracePeriod(env *environment) bool {
	return env.now.Before(env.gapEnd.Add(c.freshness))
}

// keepsVerdict reports the same of a check that has a verdict worth keeping.
func (c *check) keepsVerdict(env *environment) bool {
	return c.verdict != mesh.Pending && c.verdict != mesh.Unknown && c.inGracePeriod(env)
}

// belowPriorRegions reports whether, after a restart, fewer regions were heard than the verdict of the ledger was made
// of, while more of them may still come.
func (c *check) belowPriorRegions(env *environment, t mesh.Tally) bool {
	if t.Regions >= c.priorRegions || !c.keepsVerdict(env) {
		return false
	}
	possible := 1 // the host's own
	for i := range c.ballots {
		b := &c.ballots[i]
		if !b.own && slices.ContainsFunc(b.edges, func(e *edge) bool { return e.vantage.enrolled }) {
			possible++
		}
	}
	return t.Regions < min(c.priorRegions, possible)
}

// refresh updates until when the votes behind the verdict are fresh. Votes that agree with a verdict which is only kept
// do not prolong it: one region that votes ok again and again does not keep a check up that most others have lost. Down
// is the exception, since it ends by successes, or when nobody votes bad any more.
func (c *check) refresh(env *environment, verdict mesh.Verdict, fromVotes bool) {
	until := c.lastExpiry(env, verdict)
	if verdict != c.verdict || (fromVotes || verdict == mesh.Down) && until.After(c.freshUntil) {
		c.freshUntil = until
	}
}

// refreshBeforeRound does so when a round opens. An observation that only confirms the verdict is not evaluated when it
// comes, and once the round is open it is a vote from before the round.
func (c *check) refreshBeforeRound(env *environment) {
	t, _ := c.count(env, asHeard)
	a := c.ask(env, t, false, false)
	c.refresh(env, c.verdict, a.FromVotes && c.degradeSlow(env, a.Verdict) == c.verdict)
}

// lastExpiry returns when the last of the votes that agree with the verdict expires.
func (c *check) lastExpiry(env *environment, verdict mesh.Verdict) time.Time {
	agrees := mesh.OK
	if broken(verdict) {
		agrees = mesh.Bad
	}
	var last time.Time
	for _, e := range c.edges {
		if e.own() || !e.expires().After(last) {
			continue
		}
		if vote, _ := e.vote(env); vote == agrees {
			last = e.expires()
		}
	}
	return last
}

// degradeSlow turns up into degraded if most of the regions that vote ok are over one of the check's objectives, or are
// asked by the server to come back later.
func (c *check) degradeSlow(env *environment, verdict mesh.Verdict) mesh.Verdict {
	if verdict != mesh.Up || c.config.Latency == 0 && c.config.Loss == 0 && c.config.DegradedReason() == "" {
		return verdict
	}
	over, regions := countOver(env, c)
	if float64(over) > env.rule.DegradedShare*float64(regions) {
		return mesh.Degraded
	}
	return verdict
}

// countOver returns how many of the regions that vote ok on the check are over an objective, or are asked to come back
// later, and how many vote ok.
func countOver(env *environment, c *check) (over, regions int) {
	prefix := c.config.DegradedReason()
	for _, b := range c.regionsThatVote(env, mesh.OK) {
		regions++
		worse, asked := 0, 0
		for _, e := range b.edges {
			if vote, _ := e.vote(env); vote == mesh.Abstain {
				continue // a silent sibling does not make a region fast
			}
			asked++
			if e.over(prefix) {
				worse++
			}
		}
		if 2*worse > asked {
			over++
		}
	}
	return over, regions
}

// over reports whether the edge is over one of its check's objectives, or the server asked it to come back later, which
// a reason with this prefix says.
func (e *edge) over(prefix string) bool {
	config := e.check.config
	return config.Latency > 0 && e.rtt > config.Latency || config.Loss > 0 && e.loss > config.Loss ||
		prefix != "" && e.outcome == mesh.Slow && strings.HasPrefix(e.reason, prefix)
}

// notPermittedAnywhere reports whether no vantage may run the check. It then shows nothing about the host.
func (c *check) notPermittedAnywhere() bool {
	found := false
	for _, e := range c.edges {
		if e.own() || !e.vantage.counts() || e.vantage.silent || e.unseen() {
			continue
		}
		if !e.cannotAsk() {
			return false
		}
		found = found || e.notPermitted()
	}
	return found
}

// newEdge adds an edge without observations to the vantage.
func (c *check) newEdge(v *vantage, f mesh.Family) *edge {
	e := &edge{vantage: v, check: c, family: f}
	if !e.isPing() {
		e.answers = &answers{}
	}
	v.edges[target{c.host.key, c.config.Name, f}] = e
	v.list = append(v.list, e)
	return e
}

// newSpare prepares the edge of AnyFamily for agents of the previous version, which probe a name without regard to
// families.
func (c *check) newSpare(v *vantage) {
	families := c.host.config.FamiliesOf(c.config)
	if !c.host.config.Named() || len(families) < 2 {
		return
	}
	e := c.newEdge(v, mesh.AnyFamily)
	e.spare = true
	c.spares = append(c.spares, e)
}

// use makes a spare edge take part in its check, since the vantage's agent reported a finished probe on it. The edge of
// AnyFamily and those of single families replace one another, as the agent is of the previous version or of this one.
func (c *check) use(e *edge) {
	if !e.spare {
		return
	}
	isAny := e.family == mesh.AnyFamily
	all := slices.Concat(c.edges, c.spares)
	for _, o := range all {
		if o.vantage == e.vantage {
			was := o.spare
			if o.spare = (o.family == mesh.AnyFamily) != isAny; o.spare && !was {
				o.forget()
			}
		}
	}
	divideEdges(c, all)
}

// divideEdges sorts all edges of the check into those that take part and the spare ones.
func divideEdges(c *check, all []*edge) {
	c.edges, c.spares = nil, nil
	for _, o := range all {
		if o.spare {
			c.spares = append(c.spares, o)
		} else {
			c.edges = append(c.edges, o)
		}
	}
	sortEdges(c.edges)
	sortEdges(c.spares)
	for i := range c.ballots {
		b := &c.ballots[i]
		b.edges = slices.DeleteFunc(slices.Clone(c.edges), func(o *edge) bool { return o.vantage.region != b.region })
	}
}

// inherit carries over the state of the check under the catalog before, if it asks the same. A check that asks
// something else starts as pending, unless it was down: then it stays down until votes show otherwise.
func (c *check) inherit(was *check, same bool) {
	if same || was.verdict == mesh.Down {
		c.verdict, c.published, c.flap, c.since = was.verdict, was.published, was.flap, was.since
		c.rule, c.sentence, c.tally, c.freshUntil = was.rule, was.sentence, was.tally, was.freshUntil
		c.first = was.first
	}
	if !same {
		return
	}
	c.rounds, c.firstCatalog = was.rounds, was.firstCatalog
	defer c.forgetVoters(was)
	for _, e := range slices.Concat(c.edges, c.spares) {
		for _, o := range was.edges {
			if o.vantage == e.vantage && o.family == e.family {
				v := e.vantage
				c.use(e)
				*e = *o
				e.vantage, e.check = v, c
				if e.bad() {
					v.bad[slot(e.family)]++
				}
			}
		}
	}
}

// forgetVoters lets no vote of a region that now leaves the check out keep a verdict: it stands as long as the votes of
// the others do.
func (c *check) forgetVoters(was *check) {
	if slices.Equal(c.config.Except, was.config.Except) {
		return
	}
	var last time.Time
	for _, e := range c.edges {
		if !e.own() && e.expires().After(last) {
			last = e.expires()
		}
	}
	if last.Before(c.freshUntil) {
		c.freshUntil = last
	}
}

// restore sets the verdict that the ledger has. A flapping check is published as degraded, which is not its verdict.
func (c *check) restore(s Standing) {
	if !c.flap.Flapping() || s.Verdict != mesh.Degraded {
		c.verdict = s.Verdict
	}
	c.published, c.since, c.rule, c.sentence, c.tally = s.Verdict, s.Since, s.Rule, s.Sentence, s.Tally
	c.first = s.First
	c.heldSince = time.Time{}
	c.priorRegions = s.Tally.Regions
	if broken(s.Verdict) { // a check that works must not take the cause from one that does not
		c.host.cause = s.Cause
	}
}
