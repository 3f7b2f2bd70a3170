package judge_test

import (
	"slices"
	"time"

	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/judge"
	"github.com/probemesh/probemesh/pkg/mesh"
	"github.com/probemesh/probemesh/pkg/schedule"
)

// reference is the rule told a second time: plainly, slowly, and from its sentences. It keeps every word that was ever said and
// works everything out anew at every moment. It is told which rounds were asked for, and knows neither budgets nor holds nor
// flapping.
type reference struct {
	catalog  *catalog.Catalog
	enrolled map[string]bool
	region   map[string]string    // of each vantage
	seats    map[string][]refSeat // of each host: its observers by region, its own region too
	start    time.Time
	now      time.Time
	batches  map[string]*mesh.Batch // the latest of each vantage
	heard    map[string]time.Time
	words    map[refEdge]refWord
	rounds   map[string]*refRound // the open one of each host
	checks   map[string]*refCheck // by host: each has one check
	outcasts map[string]bool      // who is isolated as of now
	closings int                  // rounds that ended
}

type refEdge struct{ vantage, host string }

// refSeat is a region's part in what is said of a host.
type refSeat struct {
	region   string
	vantages []string
	vote     mesh.Vote // as of now, if nobody is isolated
}

// refWord is the latest live word on an edge.
type refWord struct {
	outcome   mesh.Outcome
	began     time.Time
	ended     time.Time
	round     uint64
	successes int
	missed    bool // a first miss came after it
	mute      bool // it was an ok when a round ended that it had not answered
}

type refRound struct {
	mesh.Ask
	opened time.Time
}

type refCheck struct {
	verdict     mesh.Verdict
	madeBy      time.Time // until when the votes that made the verdict are fresh
	partialSet  []string
	partialFrom time.Time
}

func newReference(c *catalog.Catalog, roster *mesh.Roster) *reference {
	r := &reference{
		catalog: c, enrolled: map[string]bool{}, region: map[string]string{}, seats: map[string][]refSeat{},
		batches: map[string]*mesh.Batch{}, heard: map[string]time.Time{},
		words: map[refEdge]refWord{}, rounds: map[string]*refRound{}, checks: map[string]*refCheck{},
	}
	for _, v := range roster.Vantages {
		r.enrolled[v] = true
	}
	for i := range c.Hosts {
		r.region[c.Hosts[i].Key()] = c.Hosts[i].Region
	}
	for i := range c.Hosts {
		h := &c.Hosts[i]
		r.checks[h.Key()] = &refCheck{verdict: mesh.Pending}
		r.seat(h, schedule.Observers(c, h, &h.Checks[0]))
	}
	return r
}

func (r *reference) seat(h *catalog.Host, observers []string) {
	for _, region := range r.catalog.Regions {
		s := refSeat{region: region.Name}
		for _, v := range observers {
			if r.region[v] == region.Name {
				s.vantages = append(s.vantages, v)
			}
		}
		r.seats[h.Key()] = append(r.seats[h.Key()], s)
	}
}

// hear takes a message of the stream: what its agent tells of itself, and then what it saw.
func (r *reference) hear(in judge.Input) {
	if r.start.IsZero() {
		r.start = in.At
	}
	r.now = in.At
	if in.Batch == nil {
		r.settle()
		return
	}
	agent := in.Batch.Agent
	part, abstained := r.part(agent), r.abstains(agent)
	r.batches[agent], r.heard[agent] = in.Batch, in.At
	if part != r.part(agent) || abstained != r.abstains(agent) {
		r.settle()
	}
	if len(in.Batch.Observations) > 0 {
		r.see(in)
		r.settle()
	}
}

// see takes the observations of a batch.
func (r *reference) see(in judge.Input) {
	for _, o := range in.Batch.Observations {
		key := refEdge{in.Batch.Agent, o.Host}
		w := r.words[key]
		switch {
		case in.Batch.Replayed(o):
			continue
		case o.Stage == mesh.Missed:
			w.missed = w.missed || o.Began.After(w.began)
		case !o.Began.Before(w.began):
			successes := w.successes
			switch {
			case !o.Outcome.Good():
				successes = 0
			case !o.Began.Equal(w.began): // else the same look comes again, as the answer to a round
				successes++
			}
			w = refWord{outcome: o.Outcome, began: o.Began, ended: o.Ended(), round: o.Round, successes: successes}
		}
		r.words[key] = w
	}
}

// asked notes a round. A check that is in one still goes on with that.
func (r *reference) asked(ask mesh.Ask) {
	if r.rounds[ask.Host] == nil {
		r.rounds[ask.Host] = &refRound{ask, r.now}
	}
}

// settle works out every verdict as of now.
func (r *reference) settle() {
	for i := range r.catalog.Hosts {
		h := &r.catalog.Hosts[i]
		for n := range r.seats[h.Key()] {
			s := &r.seats[h.Key()][n]
			s.vote = r.majority(h, s, r.opinion)
		}
	}
	r.outcasts = map[string]bool{}
	for v := range r.enrolled {
		r.outcasts[v] = r.isolates(v)
	}
	for i := range r.catalog.Hosts {
		r.judge(&r.catalog.Hosts[i])
	}
}

func (r *reference) rule() catalog.Rule { return r.catalog.Rule }

// silent: rule 2, an agent without a batch for six seconds.
func (r *reference) silent(vantage string) bool {
	return r.now.Sub(r.heard[vantage]) > r.rule().Silence
}

// part: a vantage is part of the mesh when it is enrolled and was heard once.
func (r *reference) part(vantage string) bool {
	return r.enrolled[vantage] && !r.heard[vantage].IsZero()
}

// abstains: rule 3, what a vantage tells of itself.
func (r *reference) abstains(vantage string) bool {
	return !r.part(vantage) || r.silent(vantage) || r.batches[vantage].Lag >= r.rule().LagMax || r.batches[vantage].AnchorsFail
}

func (r *reference) expires(h *catalog.Host, w refWord) time.Time {
	return w.ended.Add(2*h.Checks[0].Interval + h.Checks[0].Timeout)
}

// opinion: what the vantage's word counts for if nobody is isolated.
func (r *reference) opinion(vantage string, h *catalog.Host) mesh.Vote {
	w, ok := r.words[refEdge{vantage, h.Key()}]
	switch {
	case r.abstains(vantage), !ok, w.ended.IsZero(), !r.now.Before(r.expires(h, w)), w.outcome == mesh.Inconclusive, w.mute:
		return mesh.Abstain
	case w.outcome == mesh.Unreachable:
		return mesh.Bad
	}
	return mesh.OK
}

// isolates: rule 3, a vantage that calls bad what two thirds of the other regions hold good, for over half of its targets.
func (r *reference) isolates(vantage string) bool {
	n, count := 0.0, 0.0
	for i := range r.catalog.Hosts {
		h := &r.catalog.Hosts[i]
		vote := mesh.Abstain
		others, good := 0.0, 0.0
		for _, s := range r.seats[h.Key()] {
			switch {
			case s.region == r.region[vantage]:
				if slices.Contains(s.vantages, vantage) {
					vote = r.opinion(vantage, h)
				}
			case s.region == h.Region || !r.counts(s):
			case s.vote == mesh.OK:
				others, good = others+1, good+1
			default:
				others++
			}
		}
		if vote != mesh.Abstain {
			n++
		}
		if vote == mesh.Bad && others > 0 && good >= r.rule().IsolatedAgreement*others {
			count++
		}
	}
	return n >= 3 && (count+0.5)/(n+1) > 0.5
}

// counts: a region is set to look at a host and was heard once.
func (r *reference) counts(s refSeat) bool { return slices.ContainsFunc(s.vantages, r.part) }

// voters are the regions with a vote on the host: those that count, without its own.
func (r *reference) voters(h *catalog.Host) []refSeat {
	return slices.DeleteFunc(slices.Clone(r.seats[h.Key()]), func(s refSeat) bool { return s.region == h.Region || !r.counts(s) })
}

// majority: rule 4, the strict majority of a region's vantages; a tie abstains.
func (r *reference) majority(h *catalog.Host, s *refSeat, vote func(string, *catalog.Host) mesh.Vote) mesh.Vote {
	ok, bad := 0, 0
	for _, v := range s.vantages {
		switch vote(v, h) {
		case mesh.OK:
			ok++
		case mesh.Bad:
			bad++
		}
	}
	switch {
	case ok > bad:
		return mesh.OK
	case bad > ok:
		return mesh.Bad
	}
	return mesh.Abstain
}

// waited: the vantage's answer to the round is still to come.
func (r *reference) waited(v string, h *catalog.Host) bool {
	round := r.rounds[h.Key()]
	return round != nil && !r.abstains(v) && !r.outcasts[v] && !r.answered(v, h, round)
}

func (r *reference) answered(v string, h *catalog.Host, round *refRound) bool {
	w := r.words[refEdge{v, h.Key()}]
	return !w.ended.IsZero() && !w.missed && (w.round >= round.Round || !w.began.Before(round.Since))
}

// counted is the vote of a vantage that may be isolated, or asked and not heard yet: then what is missing is taken as ok, as bad,
// or, where missing is abstain, as what was said before, unless that was an ok.
func (r *reference) counted(missing mesh.Vote) func(string, *catalog.Host) mesh.Vote {
	return func(v string, h *catalog.Host) mesh.Vote {
		vote := r.opinion(v, h)
		switch {
		case r.outcasts[v]:
			return mesh.Abstain
		case r.waited(v, h) && (missing != mesh.Abstain || vote == mesh.OK):
			return missing
		}
		return vote
	}
}

// tally counts the votes.
func (r *reference) tally(h *catalog.Host, missing mesh.Vote) (n, u, d int, bad []string) {
	for _, s := range r.voters(h) {
		n++
		switch r.majority(h, &s, r.counted(missing)) {
		case mesh.OK:
			u++
		case mesh.Bad:
			d, bad = d+1, append(bad, s.region)
		}
	}
	return n + 1, u, d, bad
}
