package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// reporter describes the judge's state as values for people: states, sentences and advisories. It changes nothing.
type reporter struct {
	env  *environment
	mesh *topology
}

func (r reporter) host(h *host) mesh.HostState {
	s := mesh.HostState{
		Name: h.config.Name, Region: h.config.Region, Public: h.config.Public, Status: h.status, Since: h.since,
		Checks: make([]mesh.CheckState, len(h.checks)),
	}
	worst := -1
	for i, c := range h.checks {
		s.Checks[i] = r.check(c)
		if rank := severity(c); rank > worst && !aside(c) {
			worst, s.Sentence = rank, s.Checks[i].Sentence
		}
	}
	if worst < 0 {
		s.Sentence = "This host has no checks."
	}
	return s
}

// severity orders checks for the sentence that represents their host. One that no vantage may run shows nothing about
// it.
func severity(c *check) int {
	if c.leftOut {
		return mesh.Pending.Severity()
	}
	return c.published.Severity()
}

func (r reporter) check(c *check) mesh.CheckState {
	s := mesh.CheckState{
		Name: c.config.Name, Kind: c.config.Kind, Critical: c.config.Critical, Internal: aside(c),
		Verdict: c.published, Since: c.since,
		Rule: c.rule, Sentence: c.sentence, Tally: c.tally, RoundOpen: c.rounds.current != nil,
		Votes: regionVotes(r.env, c), Except: c.config.Except, Advisories: r.advisories(c),
	}
	if broken(c.published) {
		s.Cause, s.First = c.host.cause, c.first
	}
	expiry, advisory := r.expiry(c)
	if s.Expiry = expiry; expiry != nil {
		s.Advisories = append(s.Advisories, advisory)
	}
	// A verdict that is only kept keeps its sentence too: its numbers were true when the votes showed it.
	if c.fromVotes || c.sentence == "" || c.verdict == mesh.Pending {
		s.Sentence = sentenceOf(r.env, r.mesh.catalog, c, s.Votes)
	}
	return s
}

// sentenceOf returns the public sentence about the check's verdict, with the given votes.
func sentenceOf(env *environment, config *catalog.Catalog, c *check, votes []mesh.RegionVote) string {
	rule := c.rule
	if c.damped() {
		rule = sentence.Flapping
	}
	return sentence.Of(config, c.config, mesh.CheckState{
		Verdict: c.published, Since: c.since, Rule: rule, Tally: c.tally, Votes: votes, First: c.first,
	}, env.offset)
}

// regionVotes returns the votes of the check's regions, in the catalog's order, each with the edges that it is made
// from.
func regionVotes(env *environment, c *check) []mesh.RegionVote {
	out := make([]mesh.RegionVote, len(c.ballots))
	for i := range c.ballots {
		out[i] = regionVote(env, c, &c.ballots[i])
	}
	return out
}

func regionVote(env *environment, c *check, b *ballot) mesh.RegionVote {
	v := mesh.RegionVote{Region: b.region, Own: b.own, Edges: make([]mesh.EdgeState, len(b.edges))}
	v.Vote, _ = b.vote(env, c, asHeard)
	for i, e := range b.edges {
		v.Edges[i] = edgeState(env, c, e)
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
		v.Since = b.runSince(env, mesh.Reachable)
	case mesh.Bad:
		v.Since = b.runSince(env, mesh.Unreachable)
	case mesh.Abstain:
		if v.Why == "" {
			v.Why = "its vantages disagree"
		}
	}
	return v
}

func edgeState(env *environment, c *check, e *edge) mesh.EdgeState {
	s := mesh.EdgeState{
		Vantage: e.vantage.key, Family: e.family, Outcome: e.outcome, Reason: e.reason, Address: e.address, RTT: e.rtt,
		At: e.ended, Since: e.history.since, LastGood: e.history.lastGood, LastBad: e.history.lastBad,
	}
	if e.missed {
		s.Stage = mesh.Missed
	}
	s.Vote, s.Why = e.vote(env)
	if r := c.rounds.current; s.Vote == mesh.OK && r != nil && !e.answered(r) {
		s.Vote, s.Why = mesh.Abstain, AskedAgain
	}
	if e.outcome == mesh.Inconclusive && !e.unseen() && s.Why == inconclusiveWhy {
		s.Why = InconclusivePrefix + e.reason
		if s.LeftOut = e.replacedByOther(env); s.LeftOut {
			s.Why = "left out, since another family has a vote: " + e.reason
		}
	}
	return s
}

// advisories returns what the public verdict leaves out and operators should know: a path that one region lost, a probe
// that is not permitted, only filtered pings, and during an outage what agents report.
func (r reporter) advisories(c *check) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if bad := c.regionsThatVote(r.env, mesh.Bad); len(bad) == 1 && !broken(c.verdict) {
		add(PathPrefix+"%s: %s", sentence.City(r.mesh.catalog, bad[0].region), r.quotedReasons(c))
	}
	if c.rule == quorum.TooFewRegions {
		add("%s", r.tooFewRegions(c))
	}
	if c.leftOut {
		add("no vantage is permitted to run this check, so it shows nothing about the host")
	}
	out = append(out, r.uncoveredFamilies(c)...)
	if n := r.countWhy(c, provedWhy); n > 0 {
		add(FilteredPrefix+"%s lost the ping, and the host's agent has since proved that it is alive",
			mesh.Count(n, "vantage"))
	}
	if n := r.countWhy(c, filteredWhy); n > 0 {
		add(FilteredPrefix+"%s lost the ping, and the host has since answered over TCP", mesh.Count(n, "vantage"))
	}
	if broken(c.published) {
		add("agents report %s", r.quotedReasons(c))
		out = append(out, r.ownRegion(c)...)
	}
	return out
}

// tooFewRegions names the keys of the rule by which the check has no verdict.
func (r reporter) tooFewRegions(c *check) string {
	return fmt.Sprintf("no verdict: agents of %d of %s that regions_min asks for take part, the host's own "+
		"included; let agents join in other regions, or set allow_two_regions where there are two",
		c.tally.Regions, mesh.Count(r.env.rule.RegionsMin, "region"))
}

// countWhy returns how many edges vote ok for this reason.
func (r reporter) countWhy(c *check, reason string) int {
	n := 0
	for _, e := range c.edges {
		if vote, why := e.vote(r.env); vote == mesh.OK && why == reason {
			n++
		}
	}
	return n
}

// uncoveredFamilies returns advisories for the families through which no vantage outside the host's region can probe
// the check: an outage there would not be detected.
func (r reporter) uncoveredFamilies(c *check) []string {
	var out []string
	for _, f := range c.host.config.FamiliesOf(c.config) {
		unable, asked := 0, false
		for _, e := range c.edges {
			if e.family != f || e.own() || !e.vantage.counts() {
				continue
			}
			vote, _ := e.voteIfNotIsolated(r.env)
			asked = asked || vote != mesh.Abstain
			if e.leftOut(r.env) && mesh.CannotAsk(e.reason) {
				unable++
			}
		}
		if unable > 0 && !asked && !c.leftOut {
			are := map[bool]string{true: "vantage is", false: "vantages are"}[unable == 1]
			out = append(out, fmt.Sprintf("nobody can probe over %s, since %d %s without a route or permission: "+
				"the verdict does not cover it", f.Title(), unable, are))
		}
	}
	return out
}

// quotedReasons quotes what the bad edges reported, the most frequent first. It is free text, for operators only.
func (r reporter) quotedReasons(c *check) string {
	counts := map[string]int{}
	for _, b := range c.regionsThatVote(r.env, mesh.Bad) {
		for _, e := range b.edges {
			if e.bad() {
				counts[e.reason]++
			}
		}
	}
	var all []string
	for reason := range counts {
		all = append(all, reason)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	const most = 2
	for i := range all {
		all[i] = "'" + all[i] + "'"
	}
	switch {
	case len(all) == 0:
		return "no answer"
	case len(all) > most:
		return strings.Join(all[:most], " or ") + " or other failures"
	}
	return strings.Join(all, " or ")
}

// ownRegion returns what the host's own agent and its siblings show about a host that others cannot reach. It never
// counts: it only distinguishes a dead host from one that is alive and unreachable.
func (r reporter) ownRegion(c *check) []string {
	var out []string
	switch own := c.host.vantage; {
	case !own.counts():
	case r.cutOff(own):
		out = append(out, r.cutOffAdvisory(own))
	case own.silent:
		out = append(out, fmt.Sprintf("its own agent is silent too, since %s: the host or its network is down",
			r.env.wallClock(own.heardAt, time.TimeOnly)))
	case own.heardAt.After(c.since.Add(r.env.rule.Silence)):
		out = append(out, "its own agent still reports: the host is alive, and the service or the path to it fails")
	}
	for i := range c.ballots {
		if b := &c.ballots[i]; b.own && b.opinion(r.env, everyFamily) == mesh.OK {
			out = append(out, "its own region still reaches it")
		}
	}
	return out
}

const (
	// clockOffMax is how far off an agent's clock may be before operators get an advisory.
	clockOffMax = 5 * time.Second
	// otherCatalog is how long an agent may use another catalog: it asks every minute, so one that is behind for longer
	// cannot get it.
	otherCatalog = time.Minute
)

var familyWords = [families]string{"", " over IPv4", " over IPv6"}

func (r reporter) vantage(v *vantage) mesh.VantageState {
	s := v.report
	s.Name, s.Region, s.LastBatch, s.Silent = v.key, v.region, v.heardAt, v.silent
	if host := r.mesh.byKey[v.key]; host != nil {
		s.Name = host.config.Name
	}
	if !v.heard() {
		return s
	}
	advise := func(format string, args ...any) { s.Advisories = append(s.Advisories, fmt.Sprintf(format, args...)) }
	s.Abstains = v.abstains(r.env)
	for f, isolated := range v.isolated {
		if isolated && s.Abstains == "" {
			s.Abstains = isolatedWhy + familyWords[f]
		}
	}
	if r.cutOff(v) {
		s.Abstains = cutOffWhy
		advise("%s", r.cutOffAdvisory(v))
	}
	if v.identity.shared(r.env.now) {
		s.IdentityShared = v.identity.sharedSince
		advise("two agents have used its identity since %s, as happens when a server is copied: stop one, run "+
			"`coordinator revoke %s`, and join each machine again under its own name",
			r.env.wallClock(s.IdentityShared, time.TimeOnly), s.Name)
	} else if s.Abstains != "" && !v.silent {
		advise("it does not vote: %s", s.Abstains)
	}
	if s.Clock.Abs() > clockOffMax {
		advise("its clock is off by %s: set up time synchronisation", s.Clock.Round(time.Second))
	}
	if facing := r.mesh.agents.Facing(); s.Revision == facing.Revision {
		s.Revision = r.mesh.catalog.Revision // with the names that agents know
	}
	if s.Revision != r.mesh.catalog.Revision && r.env.now.Sub(r.mesh.revisedAt) > otherCatalog {
		advise("it still uses catalog %q, and %q is in force", s.Revision, r.mesh.catalog.Revision)
	}
	if s.SpoolOff != "" {
		advise("its observations are held in memory only, since its disk refuses them: %s", s.SpoolOff)
	}
	if why := v.notPermitted(); why != "" {
		advise("%s", why)
	}
	return s
}

const cutOffWhy = "silent: its agent is cut from NATS, and alive in gossip"

// cutOff reports whether the vantage's agent is silent on NATS and alive in gossip.
func (r reporter) cutOff(v *vantage) bool {
	return v.silent && aliveInGossip(r.env, r.mesh, v) >= aliveWitnesses
}

func (r reporter) cutOffAdvisory(v *vantage) string {
	return fmt.Sprintf("its agent is cut from NATS since %s and alive: it proved that to %d others",
		r.env.wallClock(v.heardAt, time.TimeOnly), aliveInGossip(r.env, r.mesh, v))
}
