package judge

import (
	"fmt"
	"time"

	"github.com/probemesh/probemesh/pkg/mesh"
)

// Snapshot is everything the judge holds now, as a value that later steps do not touch.
func (j *Judge) Snapshot() *mesh.Snapshot {
	s := &mesh.Snapshot{At: j.now, Sequence: j.sequence}
	if j.catalog != nil {
		s.Revision = j.catalog.Revision
	}
	for _, h := range j.hosts {
		s.Hosts = append(s.Hosts, j.hostState(h))
	}
	for _, v := range j.order {
		s.Vantages = append(s.Vantages, j.vantageState(v))
	}
	if j.halfSilent {
		s.Alerts = append(s.Alerts, "half or more of the regions are silent at once: it may be this coordinator's own network, so nothing turns down")
	}
	return s
}

func (j *Judge) hostState(h *host) mesh.HostState {
	s := mesh.HostState{
		Name: h.config.Name, Region: h.config.Region, Public: h.config.Public, Status: h.status, Since: h.since,
		Checks: make([]mesh.CheckState, len(h.checks)),
	}
	worst := -1
	for i, c := range h.checks {
		s.Checks[i] = j.checkState(c)
		if rank := badness(c); rank > worst {
			worst, s.Sentence = rank, s.Checks[i].Sentence
		}
	}
	if worst < 0 {
		s.Sentence = "Nothing is asked of this host."
	}
	return s
}

// badness orders checks for the sentence that stands for their host.
func badness(c *check) int {
	rank := map[mesh.Verdict]int{mesh.Pending: 0, mesh.Up: 1, mesh.Degraded: 2, mesh.Unknown: 3, mesh.Partial: 4, mesh.Down: 5}[c.published]
	if c.leftOut {
		return 0
	}
	return rank
}

func (j *Judge) checkState(c *check) mesh.CheckState {
	s := mesh.CheckState{
		Name: c.config.Name, Kind: c.config.Kind, Critical: c.config.Critical, Verdict: c.published, Since: c.since,
		Rule: c.rule, Sentence: c.sentence, Tally: c.tally, Looking: c.asked(), Votes: j.votes(c), Advisories: j.advisories(c),
	}
	if broken(c.published) {
		s.Cause = c.host.cause
	}
	if c.positive || c.sentence == "" || c.verdict == mesh.Pending {
		s.Sentence = j.sentenceOf(c, s.Votes)
	}
	return s
}

// votes are the check's regions, in the catalog's order, each with the edges its vote is made from.
func (j *Judge) votes(c *check) []mesh.RegionVote {
	out := make([]mesh.RegionVote, len(c.ballots))
	for i := range c.ballots {
		out[i] = j.regionState(c, &c.ballots[i])
	}
	return out
}

func (j *Judge) regionState(c *check, b *ballot) mesh.RegionVote {
	v := mesh.RegionVote{Region: b.region, Own: b.own, Edges: make([]mesh.EdgeState, len(b.edges))}
	v.Vote, _ = j.regionVote(c, b, asHeard)
	for i, e := range b.edges {
		v.Edges[i] = j.edgeState(c, e)
		switch {
		case v.Why != "" || v.Edges[i].Vote != v.Vote:
		case v.Vote == mesh.Bad:
			v.Why = e.reason
		case v.Vote == mesh.Abstain:
			v.Why = v.Edges[i].Why
		}
	}
	switch v.Vote {
	case mesh.OK:
		v.Since = j.since(b, mesh.Reachable)
	case mesh.Bad:
		v.Since = j.since(b, mesh.Unreachable)
	case mesh.Abstain:
		if v.Why == "" {
			v.Why = "its vantages disagree"
		}
	}
	return v
}

func (j *Judge) edgeState(c *check, e *edge) mesh.EdgeState {
	s := mesh.EdgeState{
		Vantage: e.vantage.key, Family: e.family, Outcome: e.outcome, Reason: e.reason, Address: e.address,
		RTT: e.rtt, At: e.ended,
		Since: e.since, LastGood: e.lastGood, LastBad: e.lastBad,
	}
	if e.missed {
		s.Stage = mesh.Missed
	}
	s.Vote, s.Why = j.vote(e)
	if s.Vote == mesh.OK && c.asked() && !e.answered(c.round) {
		s.Vote, s.Why = mesh.Abstain, "asked to look again, and has not answered yet"
	}
	if e.outcome == mesh.Inconclusive && !e.never() && s.Why == "inconclusive" {
		s.Why = "inconclusive: " + e.reason
		if s.LeftOut = j.spokenFor(e); s.LeftOut {
			s.Why = "left out, since another family has an opinion: " + e.reason
		}
	}
	return s
}

// advisories tell operators what the public verdict leaves out: a path that one region lost, a probe that is not permitted.
func (j *Judge) advisories(c *check) []string {
	var out []string
	if bad := j.regionsThatVote(c, mesh.Bad); len(bad) == 1 && c.verdict != mesh.Down && c.verdict != mesh.Partial {
		out = append(out, fmt.Sprintf("path from %s: %s", j.city(bad[0].region), j.quotedReasons(c)))
	}
	if c.leftOut {
		out = append(out, "no vantage may run this check, so that it says nothing of the host")
	}
	out = append(out, j.unasked(c)...)
	if n := j.pathsThat(c, provedWhy); n > 0 {
		out = append(out, fmt.Sprintf("ping filtered: %d %s lost the ping, and the host's agent proved that it is alive since", n, plural(n, "vantage")))
	}
	if n := j.pathsThat(c, filteredWhy); n > 0 {
		out = append(out, fmt.Sprintf("ping filtered: %d %s lost the ping and reached the host over TCP since", n, plural(n, "vantage")))
	}
	if broken(c.published) {
		out = append(out, "agents report "+j.quotedReasons(c))
		out = append(out, j.secondOpinion(c)...)
	}
	return out
}

// pathsThat is how many vantages lost only the ping, as that shows.
func (j *Judge) pathsThat(c *check, shown string) int {
	n := 0
	for _, e := range c.edges {
		if vote, why := j.vote(e); vote == mesh.OK && why == shown {
			n++
		}
	}
	return n
}

// secondOpinion is what the host's own agent and its siblings say of a host that others cannot reach. It never counts: it
// only tells a dead host from one that is alive and unreachable.
func (j *Judge) secondOpinion(c *check) []string {
	var out []string
	switch own := j.vantages[c.host.key]; {
	case own == nil || !own.counts():
	case j.cutOff(own):
		out = append(out, j.cutOffAdvisory(own))
	case own.silent:
		out = append(out, fmt.Sprintf("its own agent is silent too, since %s: the host or its network is gone", j.clock(own.last, time.TimeOnly)))
	case own.last.After(c.since.Add(j.rule.Silence)):
		out = append(out, "its own agent is still heard: the host is alive, and it is the service or the way to it that fails")
	}
	for i := range c.ballots {
		if b := &c.ballots[i]; b.own && j.opinion(b, everyFamily) == mesh.OK {
			out = append(out, "its own region still reaches it")
		}
	}
	return out
}

const (
	clockOffMax  = 5 * time.Second // an agent's clock further off than this is told to operators
	otherCatalog = time.Minute     // agents ask for the catalog every minute, so one that is behind for longer cannot get it
)

func (j *Judge) vantageState(v *vantage) mesh.VantageState {
	s := v.word
	s.Name, s.Region, s.Heard, s.Silent = v.key, v.region, v.last, v.silent
	if host := j.byKey[v.key]; host != nil {
		s.Name = host.config.Name
	}
	if !v.heard() {
		return s
	}
	s.Abstains = j.abstains(v)
	for f, isolated := range v.isolated {
		if isolated && s.Abstains == "" {
			s.Abstains = isolatedWhy + familyWords[f]
		}
	}
	if j.cutOff(v) {
		s.Abstains = cutOffWhy
		s.Advisories = append(s.Advisories, j.cutOffAdvisory(v))
	}
	if j.sharesIdentity(v) {
		s.IdentityShared = v.sharedSince
		s.Advisories = append(s.Advisories, j.sharedAdvisory(s))
	} else if s.Abstains != "" && !v.silent {
		s.Advisories = append(s.Advisories, "it does not vote: "+s.Abstains)
	}
	if v.word.Clock.Abs() > clockOffMax {
		s.Advisories = append(s.Advisories, fmt.Sprintf("its clock is off by %s: set up time synchronisation", v.word.Clock.Round(time.Second)))
	}
	if v.word.Revision != j.catalog.Revision && j.now.Sub(j.revised) > otherCatalog {
		s.Advisories = append(s.Advisories, fmt.Sprintf("it works by the catalog %q, and %q is in force", v.word.Revision, j.catalog.Revision))
	}
	if v.word.SpoolOff != "" {
		s.Advisories = append(s.Advisories, "what it sees would not outlive it, since its disk does not take it: "+v.word.SpoolOff)
	}
	if why := v.forbidden(); why != "" {
		s.Advisories = append(s.Advisories, why)
	}
	return s
}

var familyWords = [families]string{"", " over IPv4", " over IPv6"}

// forbidden is what the vantage's machine does not permit, or "".
func (v *vantage) forbidden() string {
	why := ""
	for _, e := range v.edges {
		if e.notPermitted() && (why == "" || e.reason < why) {
			why = e.reason
		}
	}
	return why
}
