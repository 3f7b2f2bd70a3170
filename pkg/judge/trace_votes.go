package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/quorum"
	"github.com/probemesh/probemesh/pkg/sentence"
)

// moment is the state of the traced check after one step of the judge.
type moment struct {
	mesh.CheckState
	round  uint64       // whose answers are counted; 0: no round is open
	opened uint64       // the round of the host that opened in this step; 0: none
	basis  basis        // of the request for it
	held   mesh.Verdict // to which its fall is held back; empty: it is not
}

func (t *Tracer) look() (moment, bool) {
	c := t.traced()
	if c == nil {
		return moment{}, false
	}
	m := moment{CheckState: reporter{t.judge.env, t.judge.mesh}.check(c)}
	if c.rounds.current != nil {
		m.round = c.rounds.current.id
	}
	if c.held() {
		m.held = c.heldAs
	}
	return m, true
}

// traced returns the check, and records what it is called, or nil if the catalog in force does not have it. Its names
// find it where no id does: a catalog of an early version may spell them otherwise.
func (t *Tracer) traced() *check {
	h := t.judge.mesh.byKey[t.host]
	if h == nil || h.id != t.of.HostID {
		if i := slices.IndexFunc(t.judge.mesh.hosts, func(h *host) bool { return h.id == t.of.HostID }); i >= 0 {
			h = t.judge.mesh.hosts[i]
		}
	}
	if h == nil {
		return nil
	}
	c := h.check(t.check)
	if i := slices.IndexFunc(h.checks, func(c *check) bool { return c.id == t.of.CheckID }); i >= 0 {
		c = h.checks[i]
	}
	if c != nil {
		t.host, t.check = h.key, c.config.Name
	}
	return c
}

// compare records which votes changed, what the quorum makes of them, and the round that opens: a judge counts first,
// and opens rounds last. Votes that abstain only because a round waits for them follow their round.
func (t *Tracer) compare(in Input, was, now moment) {
	counted, waiting := changedVotes(was.Votes, now.Votes)
	t.addVotes(in, counted)
	t.addLeftOut(in, was, now)
	closed := was.round != 0 && now.round != was.round
	news := closed || was.Verdict != now.Verdict || was.Rule != now.Rule || was.Tally != now.Tally || was.held != now.held
	if news {
		t.decided(in, now, t.describeCount(was, now))
	}
	if now.opened != 0 {
		t.add(in, Event{Kind: RoundOpened, Round: now.opened, Text: t.describeRound(now)})
	}
	t.addVotes(in, waiting)
	if !news && was.round == 0 && now.round != 0 {
		t.decided(in, now, fmt.Sprintf("it stays %s while the round is open; the last count was %d of %s bad, %d ok",
			now.Verdict, now.Tally.Bad, mesh.Count(now.Tally.Regions, "region"), now.Tally.OK))
	}
}

func (t *Tracer) decided(in Input, now moment, text string) {
	t.add(in, Event{
		Kind: Decided, Verdict: now.Verdict, Rule: now.Rule, Tally: now.Tally, Waiting: now.RoundOpen, Text: text,
	})
}

// changedVotes returns the votes that are not what they were, apart those that wait for the answer to a round.
func changedVotes(was, now []mesh.RegionVote) (counted, waiting []mesh.RegionVote) {
	before := map[string]mesh.RegionVote{}
	for _, v := range was {
		before[v.Region] = v
	}
	for _, v := range now {
		old, known := before[v.Region]
		switch {
		case known && old.Vote == v.Vote && (v.Vote != mesh.Abstain || stem(old.Why) == stem(v.Why)):
		case v.Vote == mesh.Abstain && v.Why == AskedAgain:
			waiting = append(waiting, v)
		default:
			counted = append(counted, v)
		}
	}
	return counted, waiting
}

// stem is the part of why a region abstains that does not change from probe to probe.
func stem(why string) string {
	why, _, _ = strings.Cut(why, ":")
	why, _, _ = strings.Cut(why, " by ")
	return why
}

// addVotes records changed votes. Regions that change alike at once, as when a round opens, are one event.
func (t *Tracer) addVotes(in Input, votes []mesh.RegionVote) {
	type group struct {
		mesh.RegionVote
		regions []string
	}
	var groups []group
	for _, v := range votes {
		v.Why = cmp.Or(v.Why, whyOK(v))
		same := func(g group) bool { return g.Vote == v.Vote && g.Why == v.Why && g.Own == v.Own }
		if i := slices.IndexFunc(groups, same); i >= 0 {
			groups[i].regions = append(groups[i].regions, v.Region)
		} else {
			groups = append(groups, group{v, []string{v.Region}})
		}
	}
	for _, g := range groups {
		text := t.cities(g.regions)
		if g.Own {
			text += " (the host's own region, which never votes)"
		}
		if text += ": " + g.Vote.String(); g.Why != "" {
			text += ", " + g.Why
		}
		t.add(in, Event{
			Kind: VoteChanged, Region: strings.Join(g.regions, ", "), Vote: g.Vote, Why: g.Why, Text: text,
		})
	}
}

// whyOK is why a region votes ok although its latest probes failed: pings that are only filtered.
func whyOK(v mesh.RegionVote) string {
	for _, e := range v.Edges {
		if v.Vote == mesh.OK && e.Vote == mesh.OK && e.Why != "" {
			return e.Why
		}
	}
	return ""
}

// addLeftOut records which regions have no part in the check any more.
func (t *Tracer) addLeftOut(in Input, was, now moment) {
	var gone []string
	for _, v := range was.Votes {
		if !slices.ContainsFunc(now.Votes, func(o mesh.RegionVote) bool { return o.Region == v.Region }) {
			gone = append(gone, v.Region)
		}
	}
	if len(gone) > 0 {
		t.add(in, Event{
			Kind: VoteChanged, Region: strings.Join(gone, ", "),
			Text: t.cities(gone) + ": no vote any more, since the catalog leaves it out",
		})
	}
}

// cities names regions as pages do.
func (t *Tracer) cities(regions []string) string {
	names := make([]string, len(regions))
	for i, region := range regions {
		names[i] = sentence.City(t.judge.mesh.catalog, region)
	}
	return strings.Join(names, ", ")
}

// describeCount says what the votes are and what follows from them.
func (t *Tracer) describeCount(was, now moment) string {
	rule := t.judge.env.rule
	text := fmt.Sprintf("%s bad, %d ok%s: ", mesh.CountOf(now.Tally.Bad, now.Tally.Regions, "region", "votes", "vote"),
		now.Tally.OK, t.describeOK(was, now))
	switch {
	case was.Verdict != now.Verdict:
		text += fmt.Sprintf("%s, published: %s becomes %s", now.Verdict, was.Verdict, now.Verdict)
	case now.held != "":
		text += fmt.Sprintf("%s, which waits at most %s for other hosts that may have failed with it; it stays %s",
			now.held, mesh.Span(rule.CutHold), now.Verdict)
	default:
		text += "it stays " + string(now.Verdict)
	}
	if bad := now.Tally.Bad >= rule.BadRegionsMin; t.judge.env.halfSilent && (bad || now.Verdict == mesh.Unknown) {
		text += "; " + quorum.InWords(quorum.HalfIsSilent, rule)
	}
	missing := waitingFor(now)
	switch {
	case was.round != 0 && now.round != was.round:
		text += fmt.Sprintf("; round %d closes", was.round)
		if now.round != 0 && now.round != now.opened {
			text += fmt.Sprintf(", and round %d, which opened meanwhile, counts from now on", now.round)
		}
	case was.round != 0 && was.Verdict != now.Verdict && len(missing) > 0:
		text += fmt.Sprintf("; what round %d still waits for cannot change that: %s", was.round, t.cities(missing))
	case was.round != 0:
		text += fmt.Sprintf("; round %d is open", was.round)
	}
	return text
}

// describeOK says of the ok votes what a change between down, degraded and up depends on.
func (t *Tracer) describeOK(was, now moment) string {
	c, env := t.traced(), t.judge.env
	switch {
	case c == nil:
	case was.Verdict == mesh.Down && now.Tally.OK > 0 && (now.Verdict != mesh.Down || now.Rule == quorum.NotRecovered):
		return fmt.Sprintf(", %d of them after %s in a row", c.recoveredRegions(env),
			mesh.Count(env.rule.RecoverSuccesses, "success"))
	case now.Verdict == mesh.Degraded && !c.damped():
		over, _ := countOver(env, c)
		if sentence.IsTemporary(c.config) {
			return fmt.Sprintf(", %d of them asked to come back later", over)
		}
		return fmt.Sprintf(", %d of them over an objective", over)
	}
	return ""
}

// waitingFor returns the regions whose answer to the open round is missing.
func waitingFor(now moment) (regions []string) {
	for _, v := range now.Votes {
		if !v.Own && v.Vote == mesh.Abstain && v.Why == AskedAgain {
			regions = append(regions, v.Region)
		}
	}
	return regions
}

// describeRound says which round opens, and why.
func (t *Tracer) describeRound(now moment) string {
	text := fmt.Sprintf("round %d opens", now.opened)
	if c := t.traced(); c != nil {
		if r := c.rounds.latest(); r != nil && r.id == now.opened {
			text += t.describeCause(c, r, now.basis)
		}
	}
	if text += ": every other region is asked to probe now"; now.round != 0 && now.round != now.opened {
		text += fmt.Sprintf("; round %d closes first", now.round)
	}
	return text
}

// describeCause continues "round 7 opens".
func (t *Tracer) describeCause(c *check, r *round, b basis) string {
	switch b {
	case verdictWaits, regionsDisagree:
		if len(c.rounds.requestedBy) == 0 {
			return " to confirm the votes on another check of the host"
		}
		return " to confirm the votes of " + t.cities(c.rounds.requestedBy)
	case hinted:
		return ", since another host of the region failed, or gossip does not reach this one"
	case edgeMissed, edgeFailed:
	}
	if len(r.requesters) == 0 {
		return ""
	}
	q := r.requesters[0]
	what := " after a failure at "
	switch {
	case q.vote == mesh.OK:
		what = " after a success at "
	case b == edgeMissed:
		what = " after a first miss at "
	}
	if what += t.nameOf(q.vantage); q.check != c.id {
		for _, o := range c.host.checks {
			if o.id == q.check {
				what += " on " + o.config.Name
			}
		}
	}
	return what
}
